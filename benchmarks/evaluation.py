"""Time the metrics, the error budget and the intervals on data sets of growing size, against plain loops.

The loops do what public evaluators do: they go through the ranked detections one by one, and through the pairs of tubes
of a video. They are timed on size 1, in the same run, and give the same numbers, which is checked.
"""

import argparse
import math
import resource
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from stal.data.detection_files import read_detections
from stal.metrics.average_precision import mean_average_precision
from stal.metrics.bootstrap import bootstrap
from stal.metrics.error_areas import error_areas
from stal.metrics.headlines import AVERAGED_THRESHOLDS, VIDEO_THRESHOLDS
from stal.metrics.overlaps import frame_overlaps, tube_overlaps
from stal.metrics.protocol import VOC
from stal.metrics.tables import BoxTable, Tables, TubeTable, make_tables
from stal.metrics.tide import fix_gains

THRESHOLDS = sorted({*VIDEO_THRESHOLDS, *AVERAGED_THRESHOLDS})
DETECTION_ERRORS = ("localization", "classification", "duplicate", "background", "time", "other")
NUM_CLASSES, HEIGHT, WIDTH = 24, 240, 320


def main() -> None:
    """Parse the arguments, measure every size, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="detections file of size 1 (default: a generated one of 200 videos)")
    parser.add_argument("--copies", type=int, nargs="+", default=[1, 5, 50], help="sizes (default: 1 5 50)")
    arguments = parser.parse_args()
    base = load(arguments.data) if arguments.data else generate(num_videos=200, seed=0)
    baseline = {name: clock(lambda run=run: run(base)) for name, run in PLAIN.items()}  # type: ignore[misc]
    for name, (_, result) in baseline.items():
        if not np.isclose(result, METRICS[name](base), rtol=1e-12):
            raise SystemExit(f"{name}: plain loops give {result}, stal gives {METRICS[name](base)}")

    table = Table(
        title=f"CPU seconds, {arguments.data or 'generated data'}",
        caption="ratio: to plain loops at the same number of detections, taking their time to grow linearly; "
        "growth: time over that of the size before it, per growth of n log n",
    )
    for name in ("metric", "videos", "detections", "tubes", "plain loops", "stal", "ratio", "growth", "peak MiB"):
        table.add_column(name, justify="left" if name == "metric" else "right")
    before: dict[str, tuple[float, float]] = {}
    for copies in arguments.copies:
        tables = repeated(base, copies)
        for name, run in METRICS.items():
            seconds, _ = clock(lambda run=run, tables=tables: run(tables))  # type: ignore[misc]
            plain = baseline[name][0] * copies if name in baseline else None
            work = len(tables.boxes) * math.log(len(tables.boxes))
            growth = seconds / before[name][0] / (work / before[name][1]) if name in before else None
            before[name] = seconds, work
            table.add_row(
                name,
                *(f"{size:,}" for size in (len(tables.num_frames), len(tables.boxes), len(tables.tubes))),
                "-" if plain is None else f"{plain:.2f}",
                f"{seconds:.3f}",
                "-" if plain is None else f"{seconds / plain:.3f}",
                "-" if growth is None else f"{growth:.2f}",
                f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}",
            )
    Console(width=140).print(table)


def clock(run: Callable[[], float]) -> tuple[float, float]:
    """Return the CPU seconds of a run, and its result."""
    start = time.process_time()
    result = run()
    return time.process_time() - start, result


def frame_map(tables: Tables) -> float:
    """Return frame-mAP@0.5."""
    overlaps = frame_overlaps(tables, VOC.frame, within_classes=True)
    return mean_average_precision(overlaps, tables.num_classes, VOC.frame, 0.5).mean


def video_map(tables: Tables) -> float:
    """Return the mean video-mAP over all thresholds of an evaluation."""
    overlaps = tube_overlaps(tables, VOC.video, within_classes=True)
    maps = [mean_average_precision(overlaps, tables.num_classes, VOC.video, t).mean for t in THRESHOLDS]
    return float(np.mean(maps))


def frame_errors(tables: Tables) -> float:
    """Return a number that changes with how many errors of each kind the detections have."""
    overlaps = frame_overlaps(tables, VOC.frame)
    counts = error_areas(overlaps, VOC.frame, 0.5, tables.num_classes).counts
    return weighted({name: int(of_classes.sum()) for name, of_classes in counts.items()})


def weighted(counts: dict[str, int]) -> float:
    """Return the sum of the counts of the errors of detections, each with another weight."""
    return sum((number + 1) * math.sqrt(2) ** number * counts[name] for number, name in enumerate(DETECTION_ERRORS))


def error_budget(tables: Tables) -> float:
    """Compute the error budget of boxes and of tubes, as areas and as gains."""
    gains = 0.0
    for overlaps, rules in (
        (frame_overlaps(tables, VOC.frame), VOC.frame),
        (tube_overlaps(tables, VOC.video), VOC.video),
    ):
        error_areas(overlaps, rules, 0.5, tables.num_classes)
        gains += sum(fix_gains(overlaps, rules, 0.5, tables.num_classes).mean.values())
    return gains


def intervals(tables: Tables) -> float:
    """Compute the confidence intervals of all headline numbers, by 1000 draws."""
    return bootstrap(tables, VOC)["frame_mAP@0.5"].std or 0.0


METRICS: dict[str, Callable[[Tables], float]] = {
    "frame-mAP": frame_map,
    "video-mAP, 11 thresholds": video_map,
    "errors of frames, areas": frame_errors,
    "error budget, all": error_budget,
    "95 % intervals, 1000 draws": intervals,
}


def load(path: Path) -> Tables:
    """Return the content of a detections file."""
    file = read_detections(path)
    return make_tables(
        file.annotations.videos, len(file.annotations.classes), detections=file.detections, tubes=file.tubes
    )


def generate(num_videos: int, seed: int) -> Tables:
    """Return actors that drift through videos, and detections of them: shifted, confused, missed and invented ones."""
    rng = np.random.default_rng(seed)
    num_frames = rng.integers(60, 300, num_videos)
    num_actors = rng.integers(1, 3, num_videos)
    videos = np.repeat(np.arange(num_videos), num_actors)
    labels = rng.integers(NUM_CLASSES, size=num_videos)[videos]
    truth = tubes_of(videos, labels, np.ones(len(videos)), num_frames, rng)

    boxes = truth.as_boxes()
    copies = np.repeat(np.arange(len(boxes)), rng.poisson(2.2, len(boxes)))
    found_labels = np.where(rng.random(len(copies)) < 0.6, boxes.labels[copies], rng.integers(24, size=len(copies)))
    shift = rng.normal(0, 6, (len(copies), 2)).astype(np.float32)
    found = BoxTable(
        boxes.videos[copies],
        boxes.frames[copies],
        found_labels,
        boxes.boxes[copies] + np.tile(shift, 2),
        rng.random(len(copies)),
    )
    sizes = np.tile([HEIGHT, WIDTH], (num_videos, 1))
    return Tables(NUM_CLASSES, num_frames, sizes, truth, found, found_tubes(truth, rng))


def found_tubes(truth: TubeTable, rng: np.random.Generator) -> TubeTable:
    """Return copies of the annotated tubes, shifted, and some of them confused."""
    copies = np.repeat(np.arange(len(truth)), rng.poisson(4.6, len(truth)))
    lengths = truth.lengths[copies]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    owner = np.repeat(np.arange(len(copies)), lengths)
    rows = truth.offsets[copies][owner] + np.arange(offsets[-1]) - offsets[owner]
    labels = np.where(rng.random(len(copies)) < 0.6, truth.labels[copies], rng.integers(24, size=len(copies)))
    shift = rng.normal(0, 6, (len(copies), 2)).astype(np.float32)
    boxes = truth.boxes[rows] + np.tile(shift, 2)[owner]
    return TubeTable(truth.videos[copies], labels, rng.random(len(copies)), offsets, truth.frames[rows], boxes)


def tubes_of(
    videos: np.ndarray, labels: np.ndarray, scores: np.ndarray, num_frames: np.ndarray, rng: np.random.Generator
) -> TubeTable:
    """Return a drifting tube for every video, label and score, over at least half of the video."""
    lengths = (num_frames[videos] * rng.uniform(0.5, 1, len(videos))).astype(int)
    starts = (rng.random(len(videos)) * (num_frames[videos] - lengths + 1)).astype(int)
    owner = np.repeat(np.arange(len(videos)), lengths)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    nth = np.arange(offsets[-1]) - offsets[owner]
    start, speed = rng.uniform(0, 150, (len(videos), 2)), rng.normal(0, 0.3, (len(videos), 2))
    corner = start[owner] + speed[owner] * nth[:, None]
    boxes = np.concatenate([corner, corner + rng.uniform(30, 90, (len(videos), 2))[owner]], axis=1)
    return TubeTable(videos, labels, scores, offsets, starts[owner] + nth, boxes.astype(np.float32))


def repeated(tables: Tables, copies: int) -> Tables:
    """Return the data set with every video several times, each copy with scores of its own."""
    rng = np.random.default_rng(0)
    num_videos = len(tables.num_frames)

    def tile(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values] * copies)

    def rows(videos: np.ndarray, step: int = num_videos) -> np.ndarray:
        return np.concatenate([videos + step * copy for copy in range(copies)])

    def tubes(table: TubeTable) -> TubeTable:
        offsets = np.concatenate([[0], rows(table.offsets[1:], int(table.offsets[-1]))])
        scores = tile(table.scores) + rng.normal(0, 1e-3, copies * len(table))
        return TubeTable(rows(table.videos), tile(table.labels), scores, offsets, tile(table.frames), tile(table.boxes))

    found = tables.boxes
    scores = tile(found.scores) + rng.normal(0, 1e-3, copies * len(found))
    boxes = BoxTable(rows(found.videos), tile(found.frames), tile(found.labels), tile(found.boxes), scores)
    return replace(
        tables,
        num_frames=tile(tables.num_frames),
        sizes=tile(tables.sizes),
        truth=tubes(tables.truth),
        boxes=boxes,
        tubes=tubes(tables.tubes),
    )


def plain_frame_map(tables: Tables) -> float:
    """Return frame-mAP@0.5 by loops."""
    truth, found = tables.truth.as_boxes(), tables.boxes
    precisions = []
    for label in np.unique(truth.labels):
        targets = defaultdict(list)
        for row in np.flatnonzero(truth.labels == label):
            targets[truth.videos[row], truth.frames[row]].append(truth.boxes[row].astype(np.float64))
        taken = {place: np.zeros(len(boxes), bool) for place, boxes in targets.items()}
        rows = np.flatnonzero(found.labels == label)
        hits = []
        for row in rows[np.argsort(-found.scores[rows], kind="stable")]:
            place = found.videos[row], found.frames[row]
            ious = plain_ious(found.boxes[row].astype(np.float64), np.array(targets[place])) if place in targets else []
            hits.append(take(ious, taken.get(place), 0.5))
        precisions.append(plain_area(hits, sum(map(len, targets.values()))))
    return float(np.mean(precisions))


def plain_video_map(tables: Tables) -> float:
    """Return the mean video-mAP over all thresholds, by loops."""
    truth, found = tables.truth, tables.tubes
    maps = []
    for threshold in THRESHOLDS:
        precisions = []
        for label in np.unique(truth.labels):
            targets = defaultdict(list)
            for row in np.flatnonzero(truth.labels == label):
                targets[truth.videos[row]].append(row)
            taken = {video: np.zeros(len(rows), bool) for video, rows in targets.items()}
            rows = np.flatnonzero(found.labels == label)
            hits = []
            for row in rows[np.argsort(-found.scores[rows], kind="stable")]:
                video = found.videos[row]
                ious = [plain_tube_iou(found, row, truth, target) for target in targets.get(video, [])]
                hits.append(take(ious, taken.get(video), threshold))
            precisions.append(plain_area(hits, sum(map(len, targets.values()))))
        maps.append(np.mean(precisions))
    return float(np.mean(maps))


def plain_frame_errors(tables: Tables) -> float:
    """Return what `frame_errors` does, by loops."""
    truth, found = tables.truth.as_boxes(), tables.boxes
    targets = defaultdict(list)
    for row in range(len(truth)):
        targets[truth.videos[row], truth.frames[row]].append(row)
    in_video = set(zip(truth.videos.tolist(), truth.labels.tolist(), strict=True))
    taken: set[int] = set()
    counts = dict.fromkeys(DETECTION_ERRORS, 0)
    for row in np.argsort(-found.scores, kind="stable"):
        label, video = found.labels[row], found.videos[row]
        rows = np.array(targets.get((video, found.frames[row]), []), int)
        ious = plain_ious(found.boxes[row].astype(np.float64), truth.boxes[rows].astype(np.float64))
        own = truth.labels[rows] == label
        best = rows[own][np.argmax(ious[own])] if own.any() else None
        close = best is not None and ious[own].max() >= 0.5
        other = ious[~own].max(initial=0)
        if close and best not in taken:
            taken.add(best)
        elif close:
            counts["duplicate"] += 1
        elif not len(rows) and (video, label) in in_video:
            counts["time"] += 1
        elif own.any():
            counts["localization"] += 1
        elif other > 0.1:
            counts["classification" if other >= 0.5 else "other"] += 1
        else:
            counts["background"] += 1
    return weighted(counts)


def plain_ious(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the IoU of a box with each of the others."""
    size = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    intersection = size.clip(min=0).prod(axis=1)
    return intersection / ((box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(axis=1) - intersection)


def plain_tube_iou(a: TubeTable, i: int, b: TubeTable, j: int) -> float:
    """Return the spatio-temporal IoU of tube i of `a` and tube j of `b`."""
    rows, others = (np.arange(t.offsets[n], t.offsets[n + 1]) for t, n in ((a, i), (b, j)))
    common, first, second = np.intersect1d(a.frames[rows], b.frames[others], return_indices=True)
    x, y = a.boxes[rows[first]].astype(np.float64), b.boxes[others[second]].astype(np.float64)
    size = (np.minimum(x[:, 2:], y[:, 2:]) - np.maximum(x[:, :2], y[:, :2])).clip(min=0).prod(axis=1)
    union = (x[:, 2:] - x[:, :2]).prod(axis=1) + (y[:, 2:] - y[:, :2]).prod(axis=1) - size
    return float((size / union).sum() / (len(rows) + len(others) - len(common)))


def take(ious: list[float] | np.ndarray, taken: np.ndarray | None, threshold: float) -> bool:
    """Take the best ground truth of those, and return whether that was a hit."""
    if taken is None or not len(ious):
        return False
    best = int(np.argmax(ious))
    hit = ious[best] >= threshold and not taken[best]
    taken[best] |= hit
    return bool(hit)


def plain_area(hits: list[bool], num_truth: int) -> float:
    """Return the area under the precision envelope."""
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(envelope[np.array(hits, bool)].sum() / num_truth)


PLAIN: dict[str, Callable[[Tables], float]] = {
    "frame-mAP": plain_frame_map,
    "video-mAP, 11 thresholds": plain_video_map,
    "errors of frames, areas": plain_frame_errors,
}


if __name__ == "__main__":
    main()
