"""Real ground truth, scored as detections of itself, is perfect; where a protocol cannot say so, this says why."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stal.data.ground_truth import read_ground_truth
from stal.metrics.class_mean import class_mean
from stal.metrics.headlines import headline_values
from stal.metrics.protocol import PROTOCOLS
from stal.metrics.tables import Tables, make_tables

pytestmark = pytest.mark.data

UCF24, JHMDB = "annotations/ucf24/pyannot.pkl", "annotations/jhmdb/JHMDB-GT.pkl"
TWICE_ANNOTATED = "CricketBowling/v_CricketBowling_g02_c04"  # two identical tubes: the copy can never be hit
NEVER_HIT = {"voc", "multisports", "tuber", "yowo", "yowov3"}  # on frames, where the best of all is compared


def scored_as_detections(path: Path, split: str, left_out: str = "") -> Tables:
    truth = read_ground_truth(path, split=split)
    videos = [video for video in truth.annotations.videos if video.key != left_out]
    tables = make_tables(videos, len(truth.annotations.classes), half_open=truth.half_open)
    return replace(tables, boxes=tables.truth.as_boxes(), tubes=tables.truth, has_tubes=True)


def percents(tables: Tables, protocol: str) -> tuple[float, set[float]]:
    """frame-mAP, and all video-mAPs."""
    values = headline_values(tables, PROTOCOLS[protocol], np.ones((len(tables.num_frames), 1)))
    means = {name: 100 * class_mean(of_name[:, 0]) for name, of_name in values.items()}
    return means.pop("frame_mAP@0.5"), set(means.values())


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(("split", "num_videos", "num_frames"), [("1", 268, 9139), ("2", 270, 8957), ("3", 265, 9045)])
def test_jhmdb_is_perfect(shared: Path, split: str, num_videos: int, num_frames: int, protocol: str) -> None:
    tables = scored_as_detections(shared / JHMDB, split)
    assert (len(tables.num_frames), tables.num_frames.sum()) == (num_videos, num_frames)
    assert_perfect(tables, protocol)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_ucf24_is_perfect_but_for_a_video_that_is_annotated_twice(shared: Path, protocol: str) -> None:
    everything = scored_as_detections(shared / UCF24, "test")
    assert (len(everything.num_frames), everything.num_frames.sum(), len(everything.boxes)) == (910, 159_289, 170_580)
    on_frames, _ = percents(everything, protocol)
    assert (on_frames < 100) == (protocol in NEVER_HIT)
    assert on_frames > 99.7
    assert_perfect(scored_as_detections(shared / UCF24, "test", left_out=TWICE_ANNOTATED), protocol)


def assert_perfect(tables: Tables, protocol: str) -> None:
    on_frames, on_videos = percents(tables, protocol)
    assert on_frames == pytest.approx(100, abs=1e-12)
    if PROTOCOLS[protocol].video is None:
        assert all(value != value for value in on_videos)
    elif protocol == "act" and len(tables.truth) > len(tables.num_frames):
        # Its tube NMS takes one of two actors of a class who are close to each other.
        assert len(on_videos) == 1
        assert 97.9 < min(on_videos) < 98.2
    elif protocol == "yowo":  # it adds 1e-5 to the number of tubes
        assert all(99.9998 < value < 100 for value in on_videos)
    else:
        assert on_videos == {100.0}
