"""The metric in mmengine's loops. This file is also the program of the processes that the tests start."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import DefaultSampler
from mmengine.evaluator import Evaluator
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import BatchSampler, DataLoader

from stal.data.detection_files import read_detections
from stal.engine.collector import VideoResult
from stal.engine.metrics import TubeMetrics
from stal.engine.model import ClipResult
from stal.engine.sampler import VideoBatchSampler
from stal.errors import AnnotationError, StalError
from stal.linking.linker import LINKERS
from stal.linking.merging import merge_tubelets
from stal.metrics.protocol import PROTOCOLS
from stal.metrics.summary import evaluate
from stal.structures import Annotations, Detections, Tube, Video

LENGTH, STEP = 16, 8  # frames of a clip, and from one clip to the next
NUM_CLIPS = (4, 2, 6, 3)


def make_annotations(num_videos: int) -> Annotations:
    """Videos of two actors each, who walk to the right."""
    videos = []
    for number in range(num_videos):
        num_frames = LENGTH + STEP * (NUM_CLIPS[number] - 1)
        frames = np.arange(2, num_frames - 1)
        tubes = []
        for actor in range(2):
            x1, y1 = 5 + 0.4 * frames, np.full(len(frames), 8 + 40 * actor)
            boxes = np.stack([x1, y1, x1 + 20, y1 + 30], axis=1).astype(np.float32)
            tubes.append(Tube((number + actor) % 3, frames, boxes, id=actor))
        videos.append(Video(f"v{number}", Path("v.mp4"), num_frames, height=90, width=120, tubes=tuple(tubes)))
    return Annotations(("a", "b", "c"), tuple(videos))


def make_clips(video: Video) -> list[ClipResult]:
    """Tubelets near the actors, and one that is nothing; scores have few values, so that some are equal."""
    generator = np.random.default_rng(video.num_frames)
    clips = []
    for start in range(0, video.num_frames - LENGTH + 1, STEP):
        frames = np.arange(start, start + LENGTH)
        boxes = np.stack([tube.boxes_at(frames.clip(2, video.num_frames - 2))[0] for tube in video.tubes])
        boxes = np.concatenate([boxes, boxes[:1] + np.float32(30)])
        boxes += generator.normal(0, 2, boxes.shape).astype(np.float32)
        class_scores = generator.integers(1, 5, (3, 3)).astype(np.float32) / 10
        for row, tube in enumerate(video.tubes):
            class_scores[row, tube.label] = generator.integers(5, 10) / 10
        presence = generator.integers(8, 10, (3, LENGTH)).astype(np.float32) / 10
        clips.append(ClipResult(video.key, frames, boxes, class_scores, presence))
    return clips


def make_all_clips(annotations: Annotations) -> list[ClipResult]:
    return [clip for video in annotations.videos for clip in make_clips(video)]


def new_metric(annotations: Annotations, folder: Path | None = None, **changes) -> TubeMetrics:
    files = {"out": folder / "metrics.json", "dump": folder / "dump.npz"} if folder else {}
    num_clips = {video.key: count for video, count in zip(annotations.videos, NUM_CLIPS, strict=False)}
    return TubeMetrics(annotations, **{"num_clips": num_clips, **files, **changes})


class ClipsAsTheyAre(BaseModel):
    """A model that returns what it is given, and has a weight for DDP to wrap."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, *clips: ClipResult, mode: str) -> list[ClipResult]:
        return list(clips)


# What the processes do: a name, the number of videos, and how their clips are spread.
CASES = [
    ("four videos", 4, "videos"),
    ("three videos", 3, "videos"),
    ("one video", 1, "videos"),
    ("padded and interleaved", 3, "padded"),
    ("runner, three videos", 3, "runner"),
    ("runner, one video", 1, "runner"),
    ("a clip is missing", 3, "missing"),
]
WORLD_SIZES = (1, 2, 3)


def run_case(folder: Path, num_videos: int, spread: str) -> dict[str, float]:
    """Evaluate this process's part of the clips of a case, together with the other processes."""
    annotations = make_annotations(num_videos)
    clips, num_clips = make_all_clips(annotations), NUM_CLIPS[:num_videos]
    metric = new_metric(annotations, folder)
    if spread == "runner":
        loader = DataLoader(clips, batch_sampler=VideoBatchSampler(num_clips, 2), collate_fn=list)
        distributed = torch.distributed.is_initialized()
        return Runner(
            model=ClipsAsTheyAre(),
            work_dir=str(folder / "work"),
            test_dataloader=loader,
            test_cfg={},
            test_evaluator=[metric],
            launcher="pytorch" if distributed else "none",
            cfg=Config({"model_wrapper_cfg": {"type": "MMDistributedDataParallel", "device_ids": None}}),
            experiment_name=str(folder),
        ).test()
    if spread == "padded":
        batches = BatchSampler(DefaultSampler(clips, shuffle=False), 2, drop_last=False)
    else:
        batches = VideoBatchSampler(num_clips, 2)
    for batch in batches:
        metric.process(None, [clips[i] for i in batch if spread != "missing" or i != 5])
    return metric.evaluate(len(clips))


def main(folder: Path, rank: int) -> None:
    """Run all cases as process `rank` of 1, 2 and 3 processes, and note what each returned or raised."""
    for world_size in WORLD_SIZES:
        if rank >= world_size:
            continue
        if world_size > 1:
            rendezvous = f"file://{folder}/rendezvous_{world_size}"
            torch.distributed.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=world_size)
        for name, num_videos, spread in CASES:
            of_case = folder / name / str(world_size)
            of_case.mkdir(parents=True, exist_ok=True)
            try:
                returned = run_case(of_case, num_videos, spread)
            except StalError as error:
                returned = {"error": str(error)}
            (of_case / f"returned_{rank}.json").write_text(json.dumps(returned))
        if world_size > 1:
            torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def processes(tmp_path_factory) -> Path:
    """The folder of what all cases gave in 1, 2 and 3 processes."""
    folder = tmp_path_factory.mktemp("processes")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "LOCAL_RANK": "0"}
    started = []
    for rank in range(max(WORLD_SIZES)):
        log = (folder / f"log_{rank}").open("w")
        command = [sys.executable, __file__, str(folder), str(rank)]
        started.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder))
    try:
        for rank, process in enumerate(started):
            assert process.wait(timeout=120) == 0, (folder / f"log_{rank}").read_text()[-2000:]
    finally:
        for process in started:
            process.kill()
            process.wait()
    return folder


@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize("case", [name for name, _, spread in CASES if spread != "missing"])
def test_several_processes_give_the_numbers_of_one_to_the_last_bit(processes, case, world_size):
    alone, together = processes / case / "1", processes / case / str(world_size)
    assert (together / "metrics.json").read_bytes() == (alone / "metrics.json").read_bytes()
    with np.load(alone / "dump.npz") as expected, np.load(together / "dump.npz") as got:
        assert got.files == expected.files
        assert all(got[name].tobytes() == expected[name].tobytes() for name in got.files)
    expected_metrics = json.loads((alone / "returned_0.json").read_text())
    assert 0 < expected_metrics["video_mAP@0.5:0.95"] < 100
    for rank in range(world_size):
        assert json.loads((together / f"returned_{rank}.json").read_text()) == expected_metrics


@pytest.mark.parametrize("case", ["padded and interleaved", "runner, three videos"])
def test_it_does_not_matter_how_clips_are_spread(processes, case):
    for world_size in map(str, WORLD_SIZES):
        expected = (processes / "three videos" / world_size / "metrics.json").read_bytes()
        assert (processes / case / world_size / "metrics.json").read_bytes() == expected


@pytest.mark.parametrize("world_size", WORLD_SIZES)
def test_an_error_in_the_first_process_is_raised_in_all(processes, world_size):
    folder = processes / "a clip is missing" / str(world_size)
    errors = [json.loads((folder / f"returned_{rank}.json").read_text())["error"] for rank in range(world_size)]
    assert "v1 (1 of 2 clips)" in errors[0]
    assert all("the first process could not evaluate" in error for error in errors[1:])
    assert not (folder / "metrics.json").exists()


def test_clips_are_merged_linked_evaluated_and_written(tmp_path):
    annotations = make_annotations(2)
    detections = {
        video.key: merge_tubelets(
            [(c.frames, c.boxes, c.presence[:, :, None] * c.class_scores[:, None]) for c in make_clips(video)],
            num_frames=video.num_frames,
        )
        for video in annotations.videos
    }
    tubes = {v.key: LINKERS["default"](detections[v.key], num_frames=v.num_frames) for v in annotations.videos}
    expected = evaluate(annotations, detections, tubes)

    metric = new_metric(annotations, tmp_path, origin={"config": "c.py"})
    metric.process(None, make_all_clips(annotations))
    returned = metric.evaluate(6)

    written = json.loads((tmp_path / "metrics.json").read_text())
    assert {name: written[name] for name in expected} == json.loads(json.dumps(expected))
    assert written["origin"]["config"] == "c.py"
    assert returned == {name: expected[name] for name in returned}
    assert {"frame_mAP@0.5", "video_mAP@0.5"} <= set(returned)
    dumped = read_detections(tmp_path / "dump.npz")
    assert evaluate(dumped.annotations, dumped.detections, dumped.tubes)["video_mAP@0.5"] == expected["video_mAP@0.5"]


def test_headlines_alone_are_the_same_numbers(tmp_path):
    annotations = make_annotations(3)
    written = []
    for headlines_only in (False, True):
        metric = new_metric(annotations, tmp_path, headlines_only=headlines_only, num_draws=0)
        metric.process(None, make_all_clips(annotations))
        returned = metric.evaluate(6)
        written.append(json.loads((tmp_path / "metrics.json").read_text()))
        assert {"frame_mAP@0.5", "video_mAP@0.5:0.95", "actor_accuracy"} <= set(returned)
        assert metric.evaluation.summary["actor_accuracy"] == returned["actor_accuracy"]
    whole, headlines = written
    assert whole.keys() - headlines.keys() == {"frames", "tubes"}
    assert {name: whole[name] for name in headlines} == headlines


def test_a_second_evaluation_starts_from_nothing():
    annotations = make_annotations(2)
    metric = new_metric(annotations)
    metric.process(None, make_all_clips(annotations))
    first = metric.evaluate(6)
    with pytest.raises(AnnotationError, match="2 of 2 videos lack results"):
        metric.evaluate(6)
    metric.process(None, make_all_clips(annotations))
    assert metric.evaluate(6) == first


def test_any_detector_can_give_whole_videos():
    annotations = make_annotations(3)
    perfect = [
        VideoResult(
            video.key,
            Detections(
                np.concatenate([tube.frames for tube in video.tubes]),
                np.concatenate([tube.boxes for tube in video.tubes]),
                np.concatenate([np.full(len(tube), tube.label) for tube in video.tubes]),
                np.ones(sum(map(len, video.tubes))),
            ),
        )
        for video in annotations.videos
    ]
    metrics = Evaluator([TubeMetrics(annotations)]).offline_evaluate(perfect)
    assert metrics["frame_mAP@0.5"] == metrics["video_mAP@0.5:0.95"] == 100


def test_a_runner_may_have_several_metrics():
    annotations = make_annotations(2)
    metrics = [new_metric(annotations, prefix=name, protocol=PROTOCOLS[name]) for name in ("voc", "act")]
    both = Evaluator(metrics).offline_evaluate(make_all_clips(annotations), chunk_size=2)
    assert {"voc/frame_mAP@0.5", "act/frame_mAP@0.5"} <= set(both)
    assert both["voc/frame_mAP@0.5"] != both["act/frame_mAP@0.5"]


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
