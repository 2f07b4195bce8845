"""From clips in any order to the detections and tubes of videos."""

from pathlib import Path

import numpy as np
import pytest

from stal.engine.collector import VideoCollector, VideoResult
from stal.engine.model import ClipResult
from stal.errors import AnnotationError, ConfigError, ShapeError
from stal.linking.linker import LINKERS
from stal.structures import Annotations, Detections, Tube, Video

NUM_FRAMES = 40
STARTS = (0, 5, 16, 24)  # of the clips of each video; they overlap
LENGTH = 16
VIDEOS = tuple(Video(f"v{n}", Path(f"v{n}.mp4"), NUM_FRAMES, height=50, width=60) for n in range(5))
ANNOTATIONS = Annotations(("a", "b"), VIDEOS)
NUM_CLIPS = {video.key: len(STARTS) for video in VIDEOS}


ONE_BOX = (np.array([0]), np.float32([[0, 0, 9, 9]]))


def clips_of(video: int) -> list[ClipResult]:
    generator = np.random.default_rng(video)
    clips = []
    for start in STARTS:
        corners = generator.uniform(0, 40, (3, 1, 2)) + generator.uniform(0, 3, (3, LENGTH, 2))
        boxes = np.concatenate([corners, corners + 12], axis=2).astype(np.float32)
        scores = generator.random((3, 2), np.float32), generator.random((3, LENGTH), np.float32)
        clips.append(ClipResult(f"v{video}", np.arange(start, start + LENGTH), boxes, *scores))
    return clips


def new_collector(num_clips: dict[str, int] = NUM_CLIPS) -> VideoCollector:
    return VideoCollector(ANNOTATIONS, num_clips, LINKERS["act"])


def collect(clips: list[ClipResult]) -> VideoCollector:
    collector = new_collector()
    for clip in clips:
        collector.add(clip)
    return collector


def as_bytes(video: VideoResult) -> tuple[bytes, ...]:
    detections = video.detections
    arrays = [detections.frames, detections.boxes, detections.labels, detections.scores]
    arrays += [array for tube in video.tubes or () for array in (tube.frames, tube.boxes, np.array(tube.score))]
    return tuple(array.tobytes() for array in arrays)


ALL_CLIPS = [clip for video in range(len(VIDEOS)) for clip in clips_of(video)]
IN_ORDER = collect(ALL_CLIPS)


@pytest.mark.parametrize("seed", range(5))
def test_clips_may_come_in_any_order_and_repeatedly(seed):
    generator = np.random.default_rng(seed)
    order = generator.permutation([*range(len(ALL_CLIPS)), *generator.integers(0, len(ALL_CLIPS), 7)])
    shuffled = collect([ALL_CLIPS[index] for index in order])
    shuffled.check_complete()
    assert shuffled.videos.keys() == IN_ORDER.videos.keys()
    for key, video in shuffled.videos.items():
        assert as_bytes(video) == as_bytes(IN_ORDER.videos[key])


def test_the_windows_of_a_video_are_merged_and_linked():
    video = IN_ORDER.videos["v0"]
    assert set(video.detections.frames) == set(range(NUM_FRAMES))
    assert video.tubes
    linked = LINKERS["act"](video.detections, num_frames=NUM_FRAMES)
    assert as_bytes(video) == as_bytes(VideoResult("v0", video.detections, linked))


@pytest.mark.parametrize(
    ("order", "most_held"),
    [
        ("video after video", len(STARTS) - 1),
        ("two videos at a time", 2 * (len(STARTS) - 1)),
        ("the first clips of all videos, then the second", len(VIDEOS) * (len(STARTS) - 1)),
    ],
)
def test_only_the_clips_of_unfinished_videos_are_held(order, most_held):
    clips = [clips_of(video) for video in range(len(VIDEOS))]
    interleave = {
        "video after video": [[of_video] for of_video in clips],
        "two videos at a time": [clips[:2], clips[2:4], clips[4:]],
        "the first clips of all videos, then the second": [clips],
    }
    sequence = [clip for group in interleave[order] for nth in zip(*group, strict=True) for clip in nth]
    assert len(sequence) == len(ALL_CLIPS)
    collector, held = new_collector(), []
    for clip in sequence:
        collector.add(clip)
        held.append(sum(map(len, collector.clips.values())))
    assert max(held) == most_held
    assert held[-1] == 0


def test_another_collector_goes_on_with_what_one_holds():
    first, second = collect(ALL_CLIPS[:6]), collect(ALL_CLIPS[6:])
    together = new_collector()
    for result in [*first.remaining(), *second.remaining()]:
        together.add(result)
    together.check_complete()
    for key, video in together.videos.items():
        assert as_bytes(video) == as_bytes(IN_ORDER.videos[key])


def test_videos_may_come_whole_and_bring_their_tubes():
    own = Tube(1, np.arange(3), np.tile(np.float32([0, 0, 9, 9]), (3, 1)), score=0.25)
    collector = new_collector({})
    collector.add(VideoResult("v0", IN_ORDER.videos["v0"].detections))
    collector.add(VideoResult("v1", Detections.empty(), [own]))
    collector.add(VideoResult("v1", Detections.empty(), []))  # repeated by a sampler that pads: the first one counts
    collector.add(VideoResult("v2", Detections.empty(), []))
    assert as_bytes(collector.videos["v0"]) == as_bytes(IN_ORDER.videos["v0"])
    assert collector.videos["v1"].tubes == [own]
    assert collector.videos["v2"].tubes == []


def test_a_whole_video_counts_wherever_its_clips_come():
    whole = VideoResult("v0", Detections.empty(), [])
    for position in (0, 2):
        collector = new_collector()
        results = clips_of(0)
        results[position:position] = [whole]
        for result in results:
            collector.add(result)
        assert len(collector.videos["v0"].detections) == 0
        assert not collector.clips


@pytest.mark.parametrize(
    ("num_clips", "results", "error", "message"),
    [
        (NUM_CLIPS, [{"boxes": []}], ShapeError, "a dict; it must be a ClipResult or a VideoResult"),
        (NUM_CLIPS, [VideoResult("w", Detections.empty())], AnnotationError, "'w'.* 5 annotated"),
        ({}, [VideoResult("v0", Detections.empty(), [Tube(0, *ONE_BOX)])], ShapeError, "'v0': tube 0 has score None"),
        (
            {},
            [VideoResult("v0", Detections(np.array([999]), ONE_BOX[1], np.array([0]), np.array([0.5])))],
            ShapeError,
            "on frame 999 of 0",
        ),
        ({"v1": 4}, clips_of(0), ConfigError, "'v0'.*dataset.num_clips"),
        ({"v0": 3}, clips_of(0), ConfigError, "'v0' has 4 clips or more, but num_clips says 3"),
    ],
)
def test_what_does_not_fit_is_an_error_that_names_it(num_clips, results, error, message):
    collector = new_collector(num_clips)
    with pytest.raises(error, match=message):
        for result in results:
            collector.add(result)


def test_missing_clips_are_an_error_that_names_their_videos():
    with pytest.raises(AnnotationError, match=r"2 of 5 videos lack results, first v3 \(2 of 4 clips\), v4 \(0 of 4"):
        collect(ALL_CLIPS[:14]).check_complete()


def test_missing_videos_are_an_error_that_names_them():
    with pytest.raises(AnnotationError, match="5 of 5 videos lack results, first v0, v1, v2: test"):
        new_collector({}).check_complete()
