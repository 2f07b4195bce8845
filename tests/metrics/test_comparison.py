"""Paired comparisons: equal sides, swapped sides, and sides that must not be compared."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from stal.errors import AnnotationError
from stal.metrics.class_mean import class_means
from stal.metrics.comparison import compare
from stal.metrics.headlines import headline_values
from stal.metrics.protocol import PROTOCOLS, VOC
from stal.metrics.resampling import draw_videos
from stal.metrics.summary import evaluate
from stal.metrics.tables import Tables, make_tables
from stal.structures import Annotations, Detections, Tube, Video

CLASSES = ("jump", "run", "walk", "wave")  # nobody waves
NUM_FRAMES = 6


def annotated(num_videos: int = 12) -> Annotations:
    videos = []
    for i in range(num_videos):
        box = np.array([i, i, i + 8, i + 12], np.float32)
        tube = Tube(i % 3, np.arange(NUM_FRAMES), np.tile(box, (NUM_FRAMES, 1)))
        videos.append(Video(f"v{i}", Path(f"v{i}"), NUM_FRAMES, 40, 40, tubes=(tube,)))
    return Annotations(CLASSES, tuple(videos))


def detected(annotations: Annotations, jitter: float, seed: int) -> tuple[dict[str, Detections], dict[str, list[Tube]]]:
    """Boxes around the actors, the worse the more jitter, some of a wrong class; and each video's as one tube."""
    random = np.random.default_rng(seed)
    boxes, tubes = {}, {}
    for video in annotations.videos:
        (actor,) = video.tubes
        moved = (actor.boxes + random.normal(0, jitter, actor.boxes.shape).clip(-3, 3)).astype(np.float32)
        label = actor.label if random.random() > 0.1 * jitter else int(random.integers(3))
        scores = random.random(len(actor)) + (label == actor.label)
        boxes[video.key] = Detections(actor.frames, moved, np.full(len(actor), label), scores)
        tubes[video.key] = [Tube(label, actor.frames, moved, score=float(scores.mean()))]
    return boxes, tubes


def side(annotations: Annotations, jitter: float, seed: int, *, half_open: bool = True) -> Tables:
    boxes, tubes = detected(annotations, jitter, seed)
    return make_tables(annotations.videos, len(CLASSES), detections=boxes, tubes=tubes, half_open=half_open)


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=lambda p: p.name)
def test_a_side_does_not_differ_from_itself(protocol) -> None:
    annotations = annotated()
    a = side(annotations, 1.5, 0)
    comparison = compare(annotations, a, a, protocol, num_draws=50)
    for name, metric in comparison.metrics.items():
        if protocol.video is None and name.startswith("video"):
            assert set(asdict(metric).values()) == {None}
            assert comparison.per_class[name] == []
        else:
            assert (metric.difference, metric.interval, metric.p) == (0, (0, 0), 1)
            assert {c.difference for c in comparison.per_class[name]} == {0}


def test_swapped_sides_give_the_negated_differences() -> None:
    annotations = annotated()
    a, b = side(annotations, 1.5, 0), side(annotations, 1.0, 1)
    there, back = compare(annotations, a, b, num_draws=99), compare(annotations, b, a, num_draws=99)
    for name, metric in there.metrics.items():
        swapped = back.metrics[name]
        assert (swapped.a, swapped.b, swapped.difference, swapped.p) == (
            metric.b,
            metric.a,
            -metric.difference,
            metric.p,
        )
        assert swapped.interval == (-metric.interval[1], -metric.interval[0])
        assert {(c.label, c.a, c.b, c.difference) for c in back.per_class[name]} == {
            (c.label, c.b, c.a, -c.difference) for c in there.per_class[name]
        }


def test_numbers_are_those_of_the_evaluation_and_of_the_draws() -> None:
    annotations = annotated()
    a, b = side(annotations, 1.5, 0), side(annotations, 1.4, 1)
    comparison = compare(annotations, a, b, num_draws=200, seed=4)
    assert (comparison.num_videos, comparison.num_draws, comparison.seed) == (12, 200, 4)
    assert comparison.protocol == VOC.describe()
    metrics = [evaluate(annotations, *detected(annotations, *jitter)) for jitter in ((1.5, 0), (1.4, 1))]
    counts = draw_videos(12, 200, 4)
    draws = [headline_values(tables, VOC, counts) for tables in (a, b)]
    for name, metric in comparison.metrics.items():
        assert metric.a == pytest.approx(metrics[0][name], abs=1e-12)
        assert metric.b == pytest.approx(metrics[1][name], abs=1e-12)
        assert metric.difference == pytest.approx(metric.b - metric.a, abs=1e-12)
        apart = 100 * (class_means(draws[1][name]) - class_means(draws[0][name]))[1:]
        np.testing.assert_allclose(metric.interval, np.quantile(apart, [0.025, 0.975]), rtol=0, atol=1e-10)
        rarer = min(sum(apart <= 0), sum(apart >= 0))
        assert metric.p == pytest.approx(min(1, 2 * (rarer + 1) / 201))


def test_a_clear_gain_has_a_small_p_that_is_not_0() -> None:
    annotations = annotated(30)
    metric = compare(annotations, side(annotations, 3.0, 0), side(annotations, 0.1, 1)).metrics["frame_mAP@0.5"]
    assert metric.difference > 0
    assert metric.interval[0] > 0
    assert metric.p == pytest.approx(2 / 1001)


def test_classes_stand_from_the_largest_gain_to_the_largest_loss_without_those_that_nobody_does() -> None:
    annotations = annotated()
    comparison = compare(annotations, side(annotations, 1.5, 0), side(annotations, 1.5, 1), num_draws=2)
    for name, classes in comparison.per_class.items():
        differences = [c.difference for c in classes]
        assert differences == sorted(differences, reverse=True), name
        assert sorted(c.label for c in classes) == ["jump", "run", "walk"]
    zero = compare(annotations, *[side(annotations, 1.5, 0)] * 2, PROTOCOLS["retina3d"], num_draws=2)
    assert len(zero.per_class["frame_mAP@0.5"]) == 4


def test_a_comparison_can_be_written_as_json() -> None:
    annotations = annotated()
    comparison = compare(annotations, side(annotations, 1.5, 0), side(annotations, 1.0, 1), num_draws=9)
    written = json.loads(json.dumps(asdict(comparison)))
    assert len(written["metrics"]["video_mAP@0.5"]["interval"]) == 2
    assert written["per_class"]["video_mAP@0.5"][0].keys() == {"label", "a", "b", "difference"}


def test_no_videos_give_no_numbers() -> None:
    nothing = Annotations(CLASSES, ())
    tables = side(nothing, 0, 0)
    for metric in compare(nothing, tables, tables, num_draws=2).metrics.values():
        assert set(asdict(metric).values()) == {None}


def test_half_open_boxes_are_compared_with_the_same_ones_as_inclusive_pixels() -> None:
    annotations = annotated()
    inclusive = replace(
        annotations,
        videos=tuple(
            replace(v, tubes=tuple(replace(t, boxes=t.boxes - np.float32([0, 0, 1, 1])) for t in v.tubes))
            for v in annotations.videos
        ),
    )
    a, b = side(annotations, 0.0, 0), side(inclusive, 0.0, 0, half_open=False)
    metric = compare(annotations, a, b, PROTOCOLS["act"], num_draws=20).metrics["frame_mAP@0.5"]
    assert (metric.a, metric.difference) == (100, 0)
    with pytest.raises(AnnotationError, match="another box in 12 videos, first v0"):
        compare(annotations, a, side(annotations, 0.0, 0, half_open=False))


def change_tube(video: Video, **changes) -> Video:
    (tube,) = video.tubes
    return replace(video, tubes=(replace(tube, **changes),))


MOVED = np.tile(np.float32([5, 5, 13.02, 17]), (NUM_FRAMES, 1))
ANOTHER = {
    "length": lambda video: replace(video, num_frames=9),
    "frame size": lambda video: replace(video, height=30),
    "number of tubes": lambda video: replace(video, tubes=(*video.tubes, replace(video.tubes[0], id=7))),
    "class of a tube": lambda video: change_tube(video, label=0),
    "number of boxes of a tube": lambda video: change_tube(video, frames=np.arange(5), boxes=video.tubes[0].boxes[:5]),
    "box": lambda video: change_tube(video, boxes=MOVED),
}


@pytest.mark.parametrize("what", ANOTHER)
def test_different_ground_truth_is_an_error_that_names_the_first_difference(what: str) -> None:
    annotations = annotated()
    videos = list(annotations.videos)
    videos[5] = ANOTHER[what](videos[5])
    other = replace(annotations, videos=tuple(videos))
    a = make_tables(annotations.videos, len(CLASSES))
    with pytest.raises(AnnotationError, match=f"ground truth: another {what} in 1 videos, first v5; score both"):
        compare(annotations, a, make_tables(other.videos, len(CLASSES)), num_draws=2)


def test_another_frame_of_a_box_is_a_difference() -> None:
    annotations = annotated()
    sides = []
    for gap in (2, 3):
        frames = np.delete(np.arange(NUM_FRAMES), gap)
        video = change_tube(annotations.videos[0], frames=frames, boxes=annotations.videos[0].tubes[0].boxes[:5])
        sides.append(make_tables([video, *annotations.videos[1:]], len(CLASSES)))
    with pytest.raises(AnnotationError, match="another frame of a box in 1 videos, first v0"):
        compare(annotations, *sides, num_draws=2)


def test_another_number_of_videos_or_classes_is_an_error() -> None:
    annotations = annotated()
    a = make_tables(annotations.videos, len(CLASSES))
    for b in (make_tables(annotations.videos[:-1], len(CLASSES)), make_tables(annotations.videos, 5)):
        with pytest.raises(AnnotationError, match="both must be tested on the same"):
            compare(annotations, a, b, num_draws=2)
