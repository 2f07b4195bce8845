"""Time what a million videos cost: reading an hour of video, the network's work for it, and the files around it.

python benchmarks/prediction.py                                  # videos that are generated for it
python benchmarks/prediction.py --parts reading --videos DIR     # your own
python benchmarks/prediction.py --parts network --config configs/ucf24_batchmix_pgg.py

Times are CPU seconds of one thread; an hour of video has 90,000 frames, 25 a second. docs/scale.md computes with them.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from stal.data.detected_tubes import DetectedVideo, write_detected_tubes
from stal.data.find_videos import VIDEO_SUFFIXES
from stal.data.sampling import test_keyframes
from stal.data.video.frame_table import frame_table
from stal.data.video.stream import StreamedVideo, open_stream
from stal.data.window_stream import stream_windows
from stal.engine.build import build
from stal.engine.config import load_config, with_options
from stal.engine.runner import build_model
from stal.inference.predict.results import ResultFolder
from stal.inference.predict.shards import Shard, videos_of_shard
from stal.inference.predict.videos import ListedVideo, list_videos
from stal.structures import Tube

PARTS = ("reading", "network", "files")
CONFIGS = ("configs/scenes_plain.py", "configs/ucf24_batchmix_pgg.py")
FRAMES_PER_HOUR = 90_000
SIZES = ((240, 320), (480, 854), (720, 1280), (1080, 1920))
NUM_FRAMES = 250  # of a generated video
NUM_CLIPS_GPU = 16  # at once
NUM_LISTED, NUM_SHARDED, NUM_RESULTS = 100_000, 1_000_000, 2_000


def cpu_seconds(action: Callable[[], object], num_rounds: int) -> float:
    """Return the middle of the CPU times of some rounds."""
    seconds = []
    for _ in range(num_rounds):
        start = time.process_time()
        action()
        seconds.append(time.process_time() - start)
    return float(np.median(seconds))


def wall_seconds(action: Callable[[], object]) -> float:
    """Return how long something takes, with the disk."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def exhaust(items: Iterable[object]) -> None:
    """Go through everything, and keep nothing."""
    for _ in items:
        pass


def generate_video(path: Path, height: int, width: int) -> None:
    """Encode moving textures as cameras and sites do: H.264 with B-frames, a key frame every 250 frames."""
    rng = np.random.default_rng(0)
    grains = rng.integers(0, 256, (height // 16 + 40, width // 16 + 40, 3), dtype=np.uint8)
    picture = cv2.resize(grains, (width + 640, height + 640), interpolation=cv2.INTER_CUBIC)
    actor_height, actor_width = height // 4, width // 6
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast", "crf": "23"})
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for index in range(NUM_FRAMES):
            frame = picture[index : index + height, 2 * index : 2 * index + width].copy()
            left = width // 3 + index % 50
            frame[height // 3 :, left:][:actor_height, :actor_width] = picture[:actor_height, :actor_width]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def time_reading(paths: list[Path], config_path: str, num_rounds: int) -> Table:
    """Time the two passes over a file, and what becomes of its frames before the network."""
    clips = build(load_config(config_path).test_dataloader["dataset"], "dataset")
    num_frames_clip, stride, transform = clips["num_frames_clip"], clips["stride"], clips["transform"]
    height, width = transform.size
    table = Table("video", title="CPU seconds for an hour of video")
    for column in ("MB an hour", "frame table", "decode to RGB", f"decode, and clips of {width} x {height}"):
        table.add_column(column, justify="right")
    for path in track(paths, "reading"):
        stream = open_stream(path)
        keyframes = test_keyframes(stream.num_frames, num_frames_clip, stride, clips["step"]).tolist()
        settings = {"num_frames_clip": num_frames_clip, "stride": stride, "transform": transform, "video_key": ""}

        def build_table(path: Path = path) -> None:
            os.utime(path)  # of a file that was changed there is none
            frame_table(path)

        def decode(stream: StreamedVideo = stream) -> None:
            exhaust(stream.frames())

        def cut(stream: StreamedVideo = stream, keyframes: list[int] = keyframes, settings: dict = settings) -> None:
            exhaust(stream_windows(stream.frames(), keyframes, **settings))

        per_hour = FRAMES_PER_HOUR / stream.num_frames
        seconds = [per_hour * cpu_seconds(action, num_rounds) for action in (build_table, decode, cut)]
        table.add_row(
            f"{path.name}, {stream.width} x {stream.height}",
            f"{per_hour * path.stat().st_size / 1e6:.0f}",
            *(f"{each:.0f}" for each in seconds),
        )
    return table


def gpu_seconds(detector: nn.Module, pixels: Tensor, num_rounds: int) -> float:
    """Return how long a GPU takes for a clip when it is given many, float32 as in prediction."""
    place = torch.device("cuda")
    detector, batch = detector.to(place), pixels.to(place).expand(NUM_CLIPS_GPU, -1, -1, -1, -1)

    def predict() -> None:
        with torch.no_grad():
            detector.predict(batch)
        torch.cuda.synchronize()

    predict()  # the first chooses its kernels
    return float(np.median([wall_seconds(predict) for _ in range(num_rounds)])) / NUM_CLIPS_GPU


def time_networks(config_paths: list[str], num_rounds: int) -> Table:
    """Count and time what networks do for a clip, on the GPU too if there is one."""
    table = Table("config", title="the network")
    columns = ["clip", "clips an hour", "GFLOP a clip", "TFLOP an hour", "CPU s a clip", "CPU s an hour"]
    if torch.cuda.is_available():
        columns.append(f"{torch.cuda.get_device_name()} s an hour")
    for column in columns:
        table.add_column(column, justify="right")
    for path in track(config_paths, "network"):
        config = load_config(path)
        clips = build(config.test_dataloader["dataset"], "dataset")
        (height, width), num_frames = clips["transform"].size, clips["num_frames_clip"]
        detector = build_model(with_options(config, {"model.proposals": "network"})).eval().detector
        pixels = torch.rand(1, 3, num_frames, height, width)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            detector.predict(pixels)
        with torch.no_grad():
            seconds = cpu_seconds(lambda detector=detector, pixels=pixels: detector.predict(pixels), num_rounds)
        num_clips, flops = FRAMES_PER_HOUR / clips["step"], counter.get_total_flops()
        table.add_row(
            Path(path).name,
            f"{num_frames} x {height} x {width}, every {clips['step']} frames",
            f"{num_clips:,.0f}",
            f"{flops / 1e9:.1f}",
            f"{flops * num_clips / 1e12:,.0f}",
            f"{seconds:.2f}",
            f"{seconds * num_clips:,.0f}",
            *([f"{gpu_seconds(detector, pixels, num_rounds) * num_clips:,.1f}"] if torch.cuda.is_available() else []),
        )
    return table


def time_files(scratch: Path) -> Table:
    """Time all that is done for a video besides looking at it."""
    folder = scratch / "listed"
    for number in range(NUM_LISTED):
        path = folder / f"{number % 100:02d}" / f"{number}.mp4"
        if number < 100:
            path.parent.mkdir(parents=True)
        path.touch()
    listed: list[ListedVideo] = []
    seconds = {
        f"list a folder of {NUM_LISTED:,} videos": wall_seconds(lambda: listed.extend(list_videos([str(folder)])))
    }
    many = [ListedVideo(f"{number}.mp4", Path("/"), number % 10**7) for number in range(NUM_SHARDED)]
    seconds[f"find a shard of {NUM_SHARDED:,} videos"] = wall_seconds(lambda: videos_of_shard(many, Shard(0, 100)))
    results, written = ResultFolder(scratch / "results"), listed[:NUM_RESULTS]
    rng, num_frames = np.random.default_rng(0), FRAMES_PER_HOUR // 360
    corners = rng.uniform(100, 500, (num_frames, 2))
    boxes = np.hstack([corners, corners + rng.uniform(50, 490, (num_frames, 2))]).astype(np.float32)
    tube = Tube(0, np.arange(len(boxes)), boxes, score=0.5)
    video = DetectedVideo("v.mp4", 240, 320, 25.0, True, np.arange(len(boxes)) / 25, ("walk",), [tube])

    def write() -> None:
        for each in written:
            results.begin_video(each)
            write_detected_tubes(replace(video, source=str(each.path)), results.tubes_path(each))
            results.close_video(each)

    seconds[f"write {NUM_RESULTS:,} results of 10 s and a tube"] = wall_seconds(write)
    waiting = listed[NUM_RESULTS:]
    seconds[f"see that {len(waiting):,} videos have none"] = wall_seconds(lambda: [*map(results.is_done, waiting)])
    seconds[f"see that {NUM_RESULTS:,} videos have one"] = wall_seconds(lambda: [*map(results.is_done, written)])
    seconds[f"merge {NUM_RESULTS:,} results"] = wall_seconds(lambda: results.merge(written))
    box_bytes = results.tubes_path(written[0]).stat().st_size / len(boxes)
    table = Table("", title="files, on this disk", caption=f"a tube takes {box_bytes:.1f} bytes a frame")
    for column in ("seconds", "a second"):
        table.add_column(column, justify="right")
    for name, each in seconds.items():
        count = next(int(word.replace(",", "")) for word in name.split() if word[0].isdecimal())
        table.add_row(name, f"{each:.2f}", f"{count / each:,.0f}")
    return table


def main() -> None:
    """Parse the arguments, and run the parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--videos", type=Path, help="folder of videos to read (default: generated ones)")
    parser.add_argument("--num-videos", type=int, default=4, help="of the folder (default %(default)s)")
    parser.add_argument(
        "--config", nargs="+", default=list(CONFIGS), help="configs; the last says the clips of `reading`"
    )
    parser.add_argument("--num-rounds", type=int, default=3, help="rounds, whose middle counts (default %(default)s)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    console = Console()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        os.environ["STAL_CACHE"] = "off"
        if "reading" in arguments.parts:
            if arguments.videos is None:
                paths = [scratch / f"{height}p.mp4" for height, _ in SIZES]
                for path, (height, width) in zip(paths, SIZES, strict=True):
                    generate_video(path, height, width)
            else:
                found = sorted(path for path in arguments.videos.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
                paths = found[:: max(1, len(found) // arguments.num_videos)][: arguments.num_videos]
            console.print(time_reading(paths, arguments.config[-1], arguments.num_rounds))
        if "network" in arguments.parts:
            console.print(time_networks(arguments.config, arguments.num_rounds))
        if "files" in arguments.parts:
            console.print(time_files(scratch))


if __name__ == "__main__":
    main()
