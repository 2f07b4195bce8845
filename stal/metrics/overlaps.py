"""How much detections and ground truth overlap, boxes and tubes alike, as the rules of a protocol measure it."""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from stal.errors import ConfigError
from stal.metrics.protocol import FrameRules, Rules, VideoRules
from stal.metrics.tables import BoxTable, Tables, TubeTable
from stal.metrics.tube_overlap import overlap_of_pairs
from stal.ops.boxes import paired_iou
from stal.ops.pairs import equal_pairs, survivors

ONE_PIXEL = np.array([0, 0, 1, 1])
_BOXES_AT_ONCE = 2**17  # detections that are compared in one pass; more need more memory and are slower


@dataclass(frozen=True, eq=False)
class OverlapTable:
    """Detections and ground truth of all videos, boxes or tubes alike, and how much they overlap.

    It does not depend on the IoU threshold, so that one table serves all.

    Attributes:
        rows: (D,) rows of the detections in the table that they come from; some protocols leave some out.
        videos: (D,) rows of their videos.
        labels: (D,) their classes.
        scores: (D,) their confidences, in the order that breaks ties.
        truth_rows: (G,) rows of the ground truth in the table that it comes from.
        truth_videos: (G,) rows of its videos.
        truth_labels: (G,) its classes.
        pair_detection: (P,) the detection of each pair of one place (frame or video), ordered by detection, then by
            ground truth. Those without overlap are among them; those of different classes may be left out.
        pair_truth: (P,) the ground truth of each pair.
        pair_iou: (P,) its overlap.
        pair_spatial_iou: (P,) for tubes: the mean IoU of their boxes on common frames, NaN without one; None for boxes.
    """

    rows: Int64[np.ndarray, " D"]
    videos: Int64[np.ndarray, " D"]
    labels: Int64[np.ndarray, " D"]
    scores: Float64[np.ndarray, " D"]
    truth_rows: Int64[np.ndarray, " G"]
    truth_videos: Int64[np.ndarray, " G"]
    truth_labels: Int64[np.ndarray, " G"]
    pair_detection: Int64[np.ndarray, " P"]
    pair_truth: Int64[np.ndarray, " P"]
    pair_iou: Float64[np.ndarray, " P"]
    pair_spatial_iou: Float64[np.ndarray, " P"] | None = None

    @cached_property
    def ranking(self) -> Int64[np.ndarray, " D"]:
        """Return the detections, surest first; equal scores keep their order."""
        return np.argsort(-self.scores, kind="stable")

    @cached_property
    def rank(self) -> Int64[np.ndarray, " D"]:
        """Return the place of each detection in `ranking`."""
        rank = np.empty(len(self.scores), np.int64)
        rank[self.ranking] = np.arange(len(rank))
        return rank

    @cached_property
    def rows_by_class(self) -> Int64[np.ndarray, " D"]:
        """Return the detections class by class, each class as in `ranking`.

        Sorting each class by itself is faster than sorting all: it stays in the processor's cache.
        """
        # Few classes fit in 16 bits, which NumPy sorts by counting.
        few = self.labels.max(initial=0) < 2**15
        rows = np.argsort(self.labels.astype(np.int16) if few else self.labels, kind="stable")
        for start, end in pairwise([0, *np.cumsum(np.bincount(self.labels)).tolist()]):
            of_class = rows[start:end]
            rows[start:end] = of_class[np.argsort(-self.scores[of_class], kind="stable")]
        return rows

    @cached_property
    def rank_in_class(self) -> Int64[np.ndarray, " D"]:
        """Return the place of each detection in `rows_by_class`, which says which of two of one class is surer."""
        rank = np.empty(len(self.scores), np.int64)
        rank[self.rows_by_class] = np.arange(len(rank))
        return rank

    def with_pairs(self, kept: Bool[np.ndarray, " P"]) -> "OverlapTable":
        """Return the table with these pairs alone."""
        return replace(
            self,
            pair_detection=self.pair_detection[kept],
            pair_truth=self.pair_truth[kept],
            pair_iou=self.pair_iou[kept],
            pair_spatial_iou=None if self.pair_spatial_iou is None else self.pair_spatial_iou[kept],
        )

    @property
    def within_classes(self) -> "OverlapTable":
        """Return the table with the pairs of one class alone; itself, with all it has computed, if it has no others."""
        return self if self._within_classes is None else self._within_classes

    @cached_property
    def _within_classes(self) -> "OverlapTable | None":
        # None instead of the table itself, which would keep itself alive until Python looks for cycles.
        same = self.labels[self.pair_detection] == self.truth_labels[self.pair_truth]
        return None if same.all() else self.with_pairs(same)


def frame_overlaps(tables: Tables, rules: FrameRules, *, within_classes: bool = False) -> OverlapTable:
    """Return all boxes that count and the overlaps of those on the same frame.

    Args:
        tables: ground truth and detections.
        rules: which boxes count, and how they are measured.
        within_classes: leave out pairs of different classes, which no match needs.
    """
    found, truth = tables.boxes, tables.truth.as_boxes()
    parts = [_overlaps_in(block, tables, found, truth, rules, within_classes) for block in _blocks(found, tables)]
    num_rows = np.cumsum([0, *(len(rows) for rows, *_ in parts)])
    num_truth_rows = np.cumsum([0, *(len(truth_rows) for _, truth_rows, *_ in parts)])
    none = np.zeros(0, np.int64)
    rows = np.concatenate([none, *(rows for rows, *_ in parts)])
    truth_rows = np.concatenate([none, *(truth_rows for _, truth_rows, *_ in parts)])
    return OverlapTable(
        rows=rows,
        videos=found.videos[rows],
        labels=found.labels[rows],
        scores=found.scores[rows],
        truth_rows=truth_rows,
        truth_videos=truth.videos[truth_rows],
        truth_labels=truth.labels[truth_rows],
        pair_detection=np.concatenate([none, *(i + n for (_, _, i, _, _), n in zip(parts, num_rows, strict=False))]),
        pair_truth=np.concatenate([none, *(j + n for (*_, j, _), n in zip(parts, num_truth_rows, strict=False))]),
        pair_iou=np.concatenate([np.zeros(0), *(iou for *_, iou in parts)]),
    )


def _blocks(found: BoxTable, tables: Tables) -> list[tuple[int, int]]:
    """Return runs [start, stop) of videos with so few detections that what is computed for them stays in the cache."""
    num_videos = len(tables.num_frames)
    num_found = np.searchsorted(found.videos, np.arange(num_videos), side="right")
    starts = np.flatnonzero(np.diff(num_found // _BOXES_AT_ONCE, prepend=-1))
    return list(pairwise([*starts.tolist(), num_videos]))


def _overlaps_in(
    block: tuple[int, int],
    tables: Tables,
    found: BoxTable,
    truth: BoxTable,
    rules: FrameRules,
    within_classes: bool,
) -> tuple[
    Int64[np.ndarray, " D"],
    Int64[np.ndarray, " G"],
    Int64[np.ndarray, " P"],
    Int64[np.ndarray, " P"],
    Float64[np.ndarray, " P"],
]:
    """Return the rows that count in a run of videos, and of each pair the places in these rows, and its overlap."""
    rows, truth_rows = (np.arange(*np.searchsorted(table.videos, block)) for table in (found, truth))
    num_places = int(tables.num_frames[slice(*block)].sum())
    first_places = tables.first_places - tables.first_places[block[0]]
    places = first_places[found.videos[rows]] + found.frames[rows]
    truth_places = first_places[truth.videos[truth_rows]] + truth.frames[truth_rows]

    counted = np.ones(num_places, bool)
    if rules.detections_on == "annotated":
        counted = np.bincount(truth_places, minlength=num_places) > 0
    if rules.min_truth_area:
        width, height = (truth.boxes[truth_rows, 2:] - truth.boxes[truth_rows, :2]).astype(np.float64).T
        counted[truth_places[width * height < rules.min_truth_area]] = False
    rows, places = rows[counted[places]], places[counted[places]]
    if rules.truth_on == "detected":
        detected = np.bincount(places, minlength=num_places)[truth_places] > 0
        truth_rows, truth_places = truth_rows[detected], truth_places[detected]

    i, j = equal_pairs(places, truth_places, num_places)
    if within_classes:
        same = found.labels[rows[i]] == truth.labels[truth_rows[j]]
        i, j = i[same], j[same]
    a = _measured(found.boxes[rows], found.videos[rows], tables, rules)[i]
    b = _measured(truth.boxes[truth_rows], truth.videos[truth_rows], tables, rules)[j]
    return rows, truth_rows, i, j, paired_iou(a, b)


def tube_overlaps(tables: Tables, rules: VideoRules, *, within_classes: bool = False) -> OverlapTable:
    """Return all tubes that count and the overlaps of those in the same video; arguments as of `frame_overlaps`."""
    found, truth = _measured_tubes(tables.tubes, tables, rules), _measured_tubes(tables.truth, tables, rules)
    rows = np.arange(len(found))
    if rules.nms_iou is not None:
        rows = _tube_nms(found, rules)
    i, j = equal_pairs(found.videos[rows], truth.videos, len(tables.num_frames))
    if within_classes:
        same = found.labels[rows[i]] == truth.labels[j]
        i, j = i[same], j[same]
    iou, spatial_iou = overlap_of_pairs(found, rows[i], truth, j, rules)
    return OverlapTable(
        rows=rows,
        videos=found.videos[rows],
        labels=found.labels[rows],
        scores=found.scores[rows],
        truth_rows=np.arange(len(truth)),
        truth_videos=truth.videos,
        truth_labels=truth.labels,
        pair_detection=i,
        pair_truth=j,
        pair_iou=iou,
        pair_spatial_iou=spatial_iou,
    )


def _measured(
    boxes: Float[np.ndarray, "N 4"], videos: Int64[np.ndarray, " N"], tables: Tables, rules: Rules
) -> Float[np.ndarray, "N 4"]:
    """Return boxes so that x2 - x1 is the width that the rules give them."""
    if rules.pixels == "continuous" and rules.frame_size is None and not rules.rounded:
        return boxes
    boxes = boxes.astype(np.float64)
    if rules.pixels == "inclusive" and tables.half_open:
        boxes -= ONE_PIXEL
    if rules.frame_size is not None:
        if not tables.sizes.all():
            raise ConfigError(
                "the protocol scales boxes, but the size of the videos is not known: add `hw` to the file"
            )
        scale = (np.array(rules.frame_size) / tables.sizes[videos]).astype(np.float32)
        boxes = (boxes.astype(np.float32) * scale[:, [1, 0, 1, 0]]).astype(np.float64)
    if rules.rounded:
        boxes = np.rint(boxes)
    if rules.pixels == "inclusive":
        boxes += ONE_PIXEL
    return boxes


def _measured_tubes(tubes: TubeTable, tables: Tables, rules: Rules) -> TubeTable:
    return replace(tubes, boxes=_measured(tubes.boxes, tubes.videos[tubes.tube_of_box], tables, rules))


def _tube_nms(tubes: TubeTable, rules: VideoRules) -> Int64[np.ndarray, " S"]:
    """Return the rows of the tubes that no surer kept tube of their class and video overlaps too much."""
    i, j = equal_pairs(*[tubes.videos * (tubes.labels.max(initial=0) + 1) + tubes.labels] * 2)
    rank = np.empty(len(tubes), np.int64)
    rank[np.argsort(-tubes.scores, kind="stable")] = np.arange(len(tubes))
    later = rank[i] < rank[j]
    i, j = i[later], j[later]
    iou, _ = overlap_of_pairs(tubes, i, tubes, j, rules)
    overlapping = iou > rules.nms_iou
    return np.flatnonzero(survivors(i[overlapping], j[overlapping], len(tubes)))
