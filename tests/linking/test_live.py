import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stal.errors import ShapeError
from stal.linking.candidates import Candidates
from stal.linking.live import LiveLinking
from stal.linking.online import OnlineLinking
from stal.structures import Detections

BOX = (10.0, 10.0, 50.0, 90.0)


def on_frame(frame, *scored_boxes, label=0):
    boxes = np.array([box for box, _ in scored_boxes], np.float32).reshape(-1, 4)
    scores = np.array([score for _, score in scored_boxes], np.float64)
    return Detections(np.full(len(boxes), frame), boxes, np.full(len(boxes), label), scores)


@st.composite
def videos(draw):
    """Boxes of two classes that mostly overlap, some with equal scores, on frames with gaps."""
    num_boxes = draw(st.integers(0, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    corner = rng.integers(0, 12, (num_boxes, 2))
    size = rng.integers(6, 10, (num_boxes, 2))
    frames = rng.choice(rng.integers(0, 25, 12), num_boxes)
    scores = rng.integers(1, 8, num_boxes) / 8
    boxes = np.concatenate([corner, corner + size], axis=1).astype(np.float32)
    return Detections(frames, boxes, rng.integers(0, 2, num_boxes), scores)


@settings(deadline=None, max_examples=60)
@given(videos(), st.integers(0, 3), st.sampled_from([0.0, 0.1, 0.5]))
def test_the_paths_are_those_of_linking_all_frames_at_once(detections, max_gap, iou_threshold):
    candidates, link = Candidates(min_score=0.2, nms_iou=0.6, top_k=3), OnlineLinking(iou_threshold, max_gap)
    kept = candidates(detections)
    at_once = {tuple((int(kept.frames[row]), *kept.boxes[row].tolist()) for row in path) for path in link(kept)}

    live, paths = LiveLinking(candidates, link), {}
    for frame in range(26):
        for box in live.add(frame, detections[detections.frames == frame]):
            paths.setdefault((box.path, box.label), []).append((frame, *box.box.tolist()))
    assert {tuple(path) for path in paths.values()} == at_once
    assert len({number for number, _ in paths}) == len(paths)


def test_a_path_is_scored_by_the_mean_of_its_best():
    live = LiveLinking(Candidates(), OnlineLinking(max_gap=1))
    shown = [live.add(frame, on_frame(frame, (BOX, score))) for frame, score in enumerate([0.4, 0.8, 0.6, 0.2])]
    assert [box.score for (box,) in shown] == pytest.approx([0.4, 0.6, 0.7, 0.7])
    assert {box.path for (box,) in shown} == {0}


@pytest.mark.parametrize(("gap", "same"), [(0, True), (2, True), (3, False)])
def test_a_path_bridges_so_many_frames_and_no_more(gap, same):
    live = LiveLinking(Candidates(), OnlineLinking(max_gap=2))
    (before,) = live.add(0, on_frame(0, (BOX, 0.5)))
    for frame in range(1, gap + 1):
        assert live.add(frame, Detections.empty()) == []
    (after,) = live.add(gap + 1, on_frame(gap + 1, (BOX, 0.5)))
    assert (after.path == before.path) is same


def test_paths_that_ended_are_forgotten():
    live = LiveLinking(Candidates(), OnlineLinking())
    for frame in range(0, 1000, 10):
        live.add(frame, on_frame(frame, (BOX, 0.5)))
    assert sum(len(paths) for paths in live._paths.values()) == 1


@pytest.mark.parametrize(("frame", "of"), [(0, 0), (2, 1)])
def test_frames_come_one_after_the_other(frame, of):
    live = LiveLinking(Candidates(), OnlineLinking())
    live.add(0, Detections.empty())
    with pytest.raises(ShapeError, match="one after the other"):
        live.add(frame, on_frame(of, (BOX, 0.5)))
