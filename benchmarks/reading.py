"""Time the readers of videos on random clips, a whole training sample against its decode, and watch the memory.

python benchmarks/reading.py                                  # videos that are generated for it
python benchmarks/reading.py --videos DIR --parts readers
python benchmarks/reading.py --parts memory --num-samples 1000

Times are CPU seconds of one thread. A video file is opened anew for every clip, as a data loader does.
"""

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import av
import cv2
import numpy as np
import torch
from av.video.reformatter import VideoReformatter
from rich.console import Console
from rich.progress import track
from rich.table import Table

from stal.data.clips import ClipDataset, TransformPlace, collate_clips
from stal.data.epoch_sampler import EpochSampler
from stal.data.find_videos import VIDEO_SUFFIXES
from stal.data.transforms import PendingClip, TrainTransform
from stal.data.video.frame_table import frame_table
from stal.data.video.pyav_backend import to_rgb
from stal.data.video.reader import count_frames, read_frames, video_facts
from stal.errors import ConfigError
from stal.structures import Annotations, Clip, Tube, Video

NUM_FRAMES, STRIDE = 32, 2
SPAN = (NUM_FRAMES - 1) * STRIDE + 1
HEIGHT, WIDTH, LENGTH = 240, 320, 180  # of generated videos, as in UCF101
CLIP_SIZE = (224, 304)
BASELINE = "raw sequential decoding"
SAMPLE_ROWS = {
    "decode": "decode alone",
    "worker": "decode, transform and collate",
    "device": "decode and collate, transform left to the device",
    "transform": "the transform that is left, on this CPU",
}
_MAX_DIFFERENCE = 8.0  # mean, of 255: JPEG stays below it, another frame does not


@dataclass(frozen=True)
class Job:
    """A clip to read: the video, its folder of frames, the frames, and their times in the file."""

    path: Path
    folder: Path
    indices: np.ndarray
    times: list[int]


def read_bare(job: Job) -> np.ndarray:
    """Seek and decode by PyAV without looking at what comes: the least that reading a clip costs."""
    wanted, reformatter = set(job.times), VideoReformatter()
    with av.open(str(job.path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_type = "NONE"
        frames = np.empty((NUM_FRAMES, stream.height, stream.width, 3), np.uint8)
        row = 0
        container.seek(job.times[0], stream=stream)
        for frame in container.decode(stream):
            if frame.pts in wanted:
                frames[row] = to_rgb(frame, reformatter, 0)  # as ours does; PyAV's own way copies once more
                row += 1
                if row == NUM_FRAMES:
                    break
    return frames


def read_opencv(job: Job) -> np.ndarray:
    """Seek by the number of the frame, and grab what lies between the wanted ones."""
    capture = cv2.VideoCapture(str(job.path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    capture.set(cv2.CAP_PROP_POS_FRAMES, int(job.indices[0]))
    frames = []
    for offset in range(SPAN):
        capture.grab()
        if offset % STRIDE == 0:
            frames.append(cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2RGB))
    capture.release()
    return np.stack(frames)


READERS: dict[str, Callable[[Job], np.ndarray]] = {
    "PyAV, bare seek": read_bare,
    "stal, pyav": lambda job: read_frames(job.path, job.indices),
    "stal, decord": lambda job: read_frames(job.path, job.indices, backend="decord"),
    "stal, torchcodec": lambda job: read_frames(job.path, job.indices, backend="torchcodec"),
    "OpenCV": read_opencv,
    "stal, folder of jpg": lambda job: read_frames(job.folder, job.indices),
}


def decode_whole(path: Path) -> int:
    """Decode a video from its start to its end without converting a pixel, and count its frames."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_type = "NONE"
        return sum(1 for _ in container.decode(stream))


def generate_video(path: Path, seed: int) -> None:
    """Encode textures that move over another one: MPEG-4 in avi, a key frame every 12 frames, as UCF101 is."""
    rng = np.random.default_rng(seed)
    grains = [rng.integers(0, 256, (size, size, 3), dtype=np.uint8) for size in (80, 20, 20)]
    sizes = (640, 80, 80)
    background, *actors = (
        cv2.resize(g, (s, s), interpolation=cv2.INTER_CUBIC) for g, s in zip(grains, sizes, strict=True)
    )
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25, options={"g": "12", "bf": "0", "qscale": "3"})
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        for index in range(LENGTH):
            frame = background[index : index + HEIGHT, 2 * (index // 2) : 2 * (index // 2) + WIDTH].copy()
            for number, actor in enumerate(actors):
                top, left = (50 + 20 * number + index) % 150, (seed * 30 + 90 * number + 2 * index) % 230
                frame[top : top + 80, left : left + 80] = actor
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.astype(np.uint8), format="rgb24")))
        container.mux(stream.encode())


def extract_frames(path: Path, folder: Path) -> Path:
    """Write the frames of a video as JPEG of quality 95."""
    folder.mkdir(parents=True)
    for number, frame in enumerate(read_frames(path, range(count_frames(path))), start=1):
        cv2.imwrite(str(folder / f"{number:05d}.jpg"), frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    return folder


def draw_jobs(paths: Sequence[Path], scratch: Path, num_clips: int) -> list[Job]:
    """Draw clips at random places of random videos."""
    rng = np.random.default_rng(0)
    folders = {path: extract_frames(path, scratch / f"frames/{n}") for n, path in enumerate(track(paths, "frames"))}
    jobs = []
    for _ in range(num_clips):
        path = paths[int(rng.integers(len(paths)))]
        times = frame_table(path).times
        indices = rng.integers(len(times) - SPAN + 1) + STRIDE * np.arange(NUM_FRAMES)
        jobs.append(Job(path, folders[path], indices, times[indices].tolist()))
    return jobs


def find_readers(job: Job) -> dict[str, Callable[[Job], np.ndarray]]:
    """Return the readers whose libraries are there."""
    found = {}
    for name, read in READERS.items():
        try:
            read(job)
            found[name] = read
        except ConfigError as error:
            print(f"{name} is left out: {error}")
    return found


def compare_readers(jobs: Sequence[Job], num_rounds: int) -> Table:
    """Time every reader on the same clips, in rounds that have baselines of their own; the middle ratio counts."""
    readers = find_readers(jobs[0])
    paths = sorted({job.path for job in jobs})
    rates: dict[str, list[float]] = {name: [] for name in (BASELINE, *readers)}
    for _ in track(range(num_rounds), "readers"):
        start = time.process_time()
        num_decoded = sum(decode_whole(path) for path in paths)
        rates[BASELINE].append(num_decoded / SPAN / (time.process_time() - start))
        for name, read in readers.items():
            start = time.process_time()
            for job in jobs:
                read(job)
            rates[name].append(len(jobs) / (time.process_time() - start))
    table = Table(
        "reader",
        title=f"clips of {NUM_FRAMES} frames, stride {STRIDE}, from {len(paths)} videos: {len(jobs)} a round",
        caption=f"{BASELINE}: of the {SPAN} frames that a clip spans, none converted; a frame is wrong if it "
        f"differs by more than {_MAX_DIFFERENCE:g} of 255 on average from ours",
    )
    for column in ("clips per CPU s", "to raw", "to bare seek", "wrong frames"):
        table.add_column(column, justify="right")
    rows = {name: np.array(values) for name, values in rates.items()}
    for name, row in rows.items():
        to_raw, to_bare = (np.median(row / rows[other]) for other in (BASELINE, "PyAV, bare seek"))
        wrong = f"{sum(count_wrong(readers[name](job), job) for job in jobs[:50])}" if name in readers else ""
        table.add_row(name, f"{np.median(row):.0f}", f"{to_raw:.2f}", f"{to_bare:.2f}", wrong)
    return table


def count_wrong(frames: np.ndarray, job: Job) -> int:
    """Count the frames that are others than those that our reader gives."""
    difference = np.abs(frames.astype(np.int16) - read_frames(job.path, job.indices))
    return int((difference.mean(axis=(1, 2, 3)) > _MAX_DIFFERENCE).sum())


def annotate(paths: Sequence[Path]) -> Annotations:
    """Return annotations with one tube over all frames of every video."""
    videos = []
    for number, path in enumerate(paths):
        facts = video_facts(path)
        box = (0.3 * facts.width, 0.3 * facts.height, 0.6 * facts.width, 0.7 * facts.height)
        tube = Tube(0, np.arange(facts.num_frames), np.tile(np.array(box, np.float32), (facts.num_frames, 1)))
        videos.append(Video(str(number), path, facts.num_frames, facts.height, facts.width, tubes=(tube,)))
    return Annotations(("action",), tuple(videos))


def time_samples(annotations: Annotations, num_samples: int, num_rounds: int) -> Table:
    """Time whole training samples, transformed in the worker or not, against the decoding of their frames."""
    datasets = {place: make_dataset(annotations, place) for place in get_args(TransformPlace)}
    order = [(number % len(annotations.videos), number) for number in range(num_samples)]
    paths = {video.key: video.path for video in annotations.videos}
    clips = [clip for index in order if isinstance(clip := datasets["worker"][index], Clip)]
    wanted = [(paths[clip.video_key], clip.frame_indices.numpy()) for clip in clips]
    pending = [clip for index in order if isinstance(clip := datasets["device"][index], PendingClip)]
    seconds: dict[str, list[float]] = {name: [] for name in SAMPLE_ROWS}
    for _ in track(range(num_rounds), "samples"):
        start = time.process_time()
        for path, indices in wanted:
            read_frames(path, indices)
        seconds["decode"].append(time.process_time() - start)
        for place, dataset in datasets.items():
            start = time.process_time()
            for index in order:
                collate_clips([dataset[index]])
            seconds[place].append(time.process_time() - start)
        start = time.process_time()
        for sample in pending:
            sample.pixels_to("cpu")
        seconds["transform"].append(time.process_time() - start)
    table = Table("", title=f"training samples to {CLIP_SIZE[1]} x {CLIP_SIZE[0]}")
    for column in ("ms CPU", "to decode"):
        table.add_column(column, justify="right")
    for name, label in SAMPLE_ROWS.items():
        ratio = np.median(np.array(seconds[name]) / np.array(seconds["decode"]))
        table.add_row(label, f"{1e3 * np.median(seconds[name]) / num_samples:.2f}", f"{ratio:.2f}")
    return table


def make_dataset(annotations: Annotations, transform_on: TransformPlace = "worker") -> ClipDataset:
    """Return the training samples of some videos."""
    transform = TrainTransform(CLIP_SIZE)
    return ClipDataset(annotations, NUM_FRAMES, STRIDE, transform, training=True, transform_on=transform_on)


def watch_memory(annotations: Annotations, num_samples: int) -> Table:
    """Read samples in one process, and note how much memory it has."""
    dataset = make_dataset(annotations)
    sampler = EpochSampler(dataset)
    num_epochs = -(-num_samples // len(sampler))
    marks = {round(num_samples * share) for share in (0.05, 0.1, 0.25, 0.5, 0.75, 1)}
    table = Table(title=f"memory of one process, {len(dataset.videos)} videos")
    for column in ("samples", "resident MB"):
        table.add_column(column, justify="right")
    table.add_row("0", f"{resident_megabytes():.0f}")
    num_read = 0
    for epoch in track(range(num_epochs), "memory"):
        sampler.set_epoch(epoch)
        for index in sampler:
            dataset[index]
            num_read += 1
            if num_read in marks:
                table.add_row(f"{num_read:,}", f"{resident_megabytes():.0f}")
    return table


def resident_megabytes() -> float:
    """Return the memory that this process holds, as Linux counts it."""
    num_pages = int(Path("/proc/self/statm").read_text().split()[1])
    return num_pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def find_usable_videos(root: Path, num_videos: int) -> list[Path]:
    """Return videos below a folder that are long enough, and that every reader reads right."""
    candidates = sorted(path for path in root.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    usable = [path for path in candidates if count_frames(path) > SPAN and frame_table(path).decord_is_exact]
    return [usable[position] for position in np.linspace(0, len(usable) - 1, min(num_videos, len(usable))).astype(int)]


def main() -> None:
    """Parse the arguments, and run the parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--videos",
        type=Path,
        help="folder of videos, of which those that decord reads are taken (default: generated ones)",
    )
    parser.add_argument("--parts", nargs="+", choices=("readers", "samples", "memory"), default=[])
    parser.add_argument("--num-videos", type=int, default=20, help="different videos (default 20)")
    parser.add_argument("--num-clips", type=int, default=60, help="clips of a round (default 60)")
    parser.add_argument("--num-rounds", type=int, default=15, help="rounds (default 15)")
    parser.add_argument("--num-files", type=int, default=300, help="copies of the videos for `memory` (default 300)")
    parser.add_argument("--num-samples", type=int, default=10_000, help="samples for `memory` (default 10,000)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    parts = arguments.parts or ("readers", "samples", "memory")
    console = Console()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        os.environ["STAL_CACHE"] = str(scratch / "tables")
        if arguments.videos is None:
            paths = [scratch / f"{number}.avi" for number in range(arguments.num_videos)]
            for number, path in enumerate(track(paths, "videos")):
                generate_video(path, number)
        else:
            paths = find_usable_videos(arguments.videos, arguments.num_videos)
        if "readers" in parts:
            console.print(compare_readers(draw_jobs(paths, scratch, arguments.num_clips), arguments.num_rounds))
        if "samples" in parts:
            console.print(time_samples(annotate(paths), arguments.num_clips, arguments.num_rounds))
        if "memory" in parts:
            (scratch / "copies").mkdir()
            copies = [
                Path(shutil.copy(paths[number % len(paths)], scratch / f"copies/{number}.avi"))
                for number in range(arguments.num_files)
            ]
            console.print(watch_memory(annotate(copies), arguments.num_samples))


if __name__ == "__main__":
    main()
