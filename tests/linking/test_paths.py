"""The three ways to link, on the boxes that they get: sorted by class, frame, and best first."""

from collections.abc import Callable
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stal.errors import ConfigError
from stal.linking.act import ActLinking
from stal.linking.candidates import Candidates
from stal.linking.online import OnlineLinking
from stal.linking.viterbi import ViterbiLinking
from stal.ops.boxes import pairwise_iou
from stal.structures import Detections

# Ways to link that bridge up to 3 frames between boxes that overlap by 0.2.
BRIDGING_THREE = {
    "online": OnlineLinking(iou_threshold=0.2, max_gap=3),
    "act": ActLinking(iou_threshold=0.2, max_offset=4),
    "viterbi": ViterbiLinking(iou_threshold=0.2, max_gap=3),
}
every_linking = pytest.mark.parametrize("link", BRIDGING_THREE.values(), ids=BRIDGING_THREE)


def candidates(*rows: tuple[int, tuple[float, ...], int, float]) -> Detections:
    frames, boxes, labels, scores = zip(*rows, strict=True)
    found = Detections(
        np.array(frames, np.int64), np.array(boxes, np.float32), np.array(labels, np.int64), np.array(scores)
    )
    return Candidates(nms_iou=1.0)(found)


def at(x: float, width: float = 10) -> tuple[float, ...]:
    return (x, 0.0, x + width, 10.0)


ROWS = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 6).map(float).map(at), st.integers(0, 1), st.integers(1, 8)),
    min_size=1,
    max_size=12,
).map(lambda rows: [(frame, box, label, score / 8) for frame, box, label, score in rows])


@every_linking
def test_nothing_gives_no_paths(link: Callable) -> None:
    assert link(Detections.empty()) == []


@every_linking
def test_one_box_is_a_path(link: Callable) -> None:
    assert link(candidates((4, at(0), 2, 0.5))) == [[0]]


@every_linking
@pytest.mark.parametrize(("num_missed", "expected"), [(0, 1), (3, 1), (4, 2)])
def test_a_gap_of_three_frames_is_bridged_and_one_of_four_is_not(
    link: Callable, num_missed: int, expected: int
) -> None:
    frames = [0, 1, 2, *range(3 + num_missed, 6 + num_missed)]
    assert len(link(candidates(*((frame, at(0), 0, 0.5) for frame in frames)))) == expected


@every_linking
@pytest.mark.parametrize(("step", "expected"), [(6.0, 1), (7.0, 2)])
def test_boxes_that_overlap_too_little_are_not_linked(link: Callable, step: float, expected: int) -> None:
    assert len(link(candidates((0, at(0), 0, 0.5), (1, at(step), 0, 0.5)))) == expected  # IoU 0.25 and 0.18


@every_linking
def test_classes_are_linked_apart(link: Callable) -> None:
    boxes = candidates(*((frame, at(0), frame % 2, 0.5) for frame in range(6)))
    assert sorted(link(boxes)) == [[0, 1, 2], [3, 4, 5]]


@every_linking
def test_two_actors_that_cross_keep_their_paths(link: Callable) -> None:
    # One walks right, the other, half as tall and surer, left; where they meet, their overlap is far below their own.
    rows = []
    for frame in range(20):
        rows.append((frame, (8.0 * frame, 0.0, 8.0 * frame + 80, 100.0), 0, 0.5))
        rows.append((frame, (152 - 8.0 * frame, 50.0, 232 - 8.0 * frame, 100.0), 0, 0.5))
    boxes = candidates(*rows)
    paths = link(boxes)
    assert len(paths) == 2
    for path in paths:
        assert len(path) == 20
        assert len(set(boxes.boxes[path, 1].tolist())) == 1


@every_linking
@given(rows=ROWS)
def test_paths_are_of_one_class_on_rising_frames_and_share_no_box(link: Callable, rows: list) -> None:
    boxes = candidates(*rows)
    paths = link(boxes)
    assert sorted(row for path in paths for row in path) == list(range(len(boxes)))
    for path in paths:
        assert len(set(boxes.labels[path].tolist())) == 1
        for a, b in pairwise(path):
            assert 1 <= boxes.frames[b] - boxes.frames[a] <= 4
            assert pairwise_iou(boxes.boxes[[a]], boxes.boxes[[b]])[0, 0] >= 0.2


def plain_online(boxes: Detections, iou_threshold: float, max_gap: int, num_rank_scores: int | None) -> list[list[int]]:
    """The greedy rules as they are told, frame by frame."""
    paths: list[list[int]] = []
    for label in sorted(set(boxes.labels.tolist())):
        of_class: list[list[int]] = []
        for frame in range(boxes.frames.max() + 1):
            free = np.flatnonzero((boxes.labels == label) & (boxes.frames == frame)).tolist()
            live = [path for path in of_class if frame - boxes.frames[path[-1]] <= max_gap + 1]
            for path in sorted(
                live, key=lambda path: -np.mean(sorted(boxes.scores[path], reverse=True)[:num_rank_scores])
            ):
                iou = {row: pairwise_iou(boxes.boxes[[path[-1]]], boxes.boxes[[row]])[0, 0] for row in free}
                fitting = [row for row in free if iou[row] >= iou_threshold]
                if fitting:
                    row = min(fitting, key=lambda row: (-boxes.scores[row], -iou[row], row))
                    path.append(row)
                    free.remove(row)
            of_class += [[row] for row in free]
        paths += of_class
    return paths


@given(ROWS)
def test_online_linking_equals_the_plain_loop(rows: list) -> None:
    boxes = candidates(*rows)
    assert OnlineLinking(0.2, 2)(boxes) == plain_online(boxes, 0.2, 2, num_rank_scores=3)


@given(ROWS)
def test_act_linking_of_boxes_equals_the_plain_loop(rows: list) -> None:
    boxes = candidates(*rows)
    assert ActLinking(0.2, 3)(boxes) == plain_online(boxes, 0.2, 2, num_rank_scores=None)


def test_the_path_with_the_higher_mean_takes_the_surest_box() -> None:
    boxes = candidates((0, at(0), 0, 0.9), (0, at(2), 0, 0.5), (1, at(0), 0, 0.3), (1, at(2), 0, 0.8))
    assert [boxes.scores[path].tolist() for path in OnlineLinking()(boxes)] == [[0.9, 0.8], [0.5, 0.3]]


def test_of_equally_sure_boxes_a_path_takes_the_one_that_overlaps_it_most() -> None:
    boxes = candidates((0, at(2), 0, 0.5), (1, at(0), 0, 0.5), (1, at(3), 0, 0.5))
    assert boxes.boxes[OnlineLinking()(boxes)[0]][:, 0].tolist() == [2, 3]


def best_energy(boxes: Detections, rows: list[int], link: ViterbiLinking) -> float:
    """The highest energy of all paths through `rows`, which are of one class, by trying every subset."""
    best = 0.0
    for chosen in product((False, True), repeat=len(rows)):
        path = [row for row, taken in zip(rows, chosen, strict=True) if taken]
        energies = [link_energy(boxes, a, b, link) for a, b in pairwise(path)]
        if None not in energies:
            best = max(best, sum(energies))
    return best


def link_energy(boxes: Detections, a: int, b: int, link: ViterbiLinking) -> float | None:
    """The energy of one link, None if it is not allowed."""
    iou = pairwise_iou(boxes.boxes[[a]], boxes.boxes[[b]])[0, 0]
    if not 1 <= boxes.frames[b] - boxes.frames[a] <= link.max_gap + 1 or iou < link.iou_threshold:
        return None
    return boxes.scores[a] + boxes.scores[b] + link.iou_weight * iou


@given(
    ROWS.filter(lambda rows: len(rows) <= 8),
    st.sampled_from([0.0, 0.2]),
    st.integers(0, 3),
    st.sampled_from([0.0, 2.0]),
)
def test_viterbi_linking_extracts_the_path_of_highest_energy_again_and_again(
    rows: list, iou_threshold: float, max_gap: int, iou_weight: float
) -> None:
    boxes = candidates(*rows)
    link = ViterbiLinking(iou_weight, iou_threshold, max_gap)
    paths = link(boxes)
    for label in set(boxes.labels.tolist()):
        free = np.flatnonzero(boxes.labels == label).tolist()
        for path in [path for path in paths if boxes.labels[path[0]] == label]:
            energy = sum(link_energy(boxes, a, b, link) for a, b in pairwise(path))
            assert energy == pytest.approx(best_energy(boxes, free, link))
            free = [row for row in free if row not in path]
        assert not free


def test_viterbi_linking_passes_over_a_box_that_costs_more_overlap_than_it_scores() -> None:
    actor = [(frame, at(0), 0, 0.6) for frame in (0, 1, 3, 4)]
    for score, expected in [(0.4, [4, 1]), (0.6, [5])]:
        boxes = candidates(*actor, (2, at(50), 0, score))
        assert [len(path) for path in ViterbiLinking()(boxes)] == expected


def test_viterbi_linking_extracts_no_more_than_max_paths_of_each_class() -> None:
    boxes = candidates(*((frame, at(20 * i), label, 0.5) for frame in range(3) for i in range(3) for label in (0, 1)))
    assert len(ViterbiLinking(iou_threshold=0.1, max_paths=2)(boxes)) == 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OnlineLinking(iou_threshold=-0.1), "iou_threshold -0.1"),
        (lambda: OnlineLinking(max_gap=-1), "max_gap -1: choose a whole number of at least 0"),
        (lambda: ActLinking(iou_threshold=2.0), "iou_threshold 2.0"),
        (lambda: ActLinking(max_offset=0), "max_offset 0"),
        (lambda: ViterbiLinking(iou_weight=-1.0), "iou_weight -1.0"),
        (lambda: ViterbiLinking(iou_threshold=float("nan")), "iou_threshold nan"),
        (lambda: ViterbiLinking(max_gap=-1), "max_gap -1"),
        (lambda: ViterbiLinking(max_paths=0), "max_paths 0"),
    ],
)
def test_impossible_parameters_are_refused(make: Callable, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
