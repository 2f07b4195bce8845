"""The detections of one set of videos, scored, and what became of every detected and every annotated tube."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from stal.evaluation.inputs import read_evaluand
from stal.metrics.bootstrap import NUM_DRAWS, SEED
from stal.metrics.error_areas import error_kinds
from stal.metrics.error_budget import gather_evidence
from stal.metrics.matching import NOTHING
from stal.metrics.overlaps import OverlapTable, tube_overlaps
from stal.metrics.protocol import Protocol, VideoRules
from stal.metrics.resampling import draw_videos
from stal.metrics.summary import Evaluation, evaluate_tables
from stal.metrics.tables import Tables, TubeTable
from stal.structures import Annotations, Tube

IOU_THRESHOLD = 0.5


@dataclass(frozen=True, eq=False)
class ScoredSet:
    """Detections of one set of videos. What follows from them is computed when it is asked for.

    Attributes:
        path: the file that they come from.
        annotations: the ground truth.
        tables: ground truth and predictions.
        protocol: by which they are scored.
    """

    path: Path
    annotations: Annotations
    tables: Tables
    protocol: Protocol

    @property
    def rules(self) -> VideoRules:
        """Return the rules of tubes; the usual ones for a protocol that has none."""
        return self.protocol.video or VideoRules()

    @cached_property
    def evaluation(self) -> Evaluation:
        """Return all numbers."""
        counts = draw_videos(len(self.tables.num_frames), NUM_DRAWS, SEED)
        return evaluate_tables(self.tables, self.annotations.classes, self.protocol, counts)

    @cached_property
    def overlaps(self) -> OverlapTable:
        """Return how much detected and annotated tubes overlap."""
        return tube_overlaps(self.tables, self.rules)

    @cached_property
    def outcomes(self) -> "Outcomes":
        """Return what became of every detected tube."""
        evidence = gather_evidence(self.overlaps, self.rules, IOU_THRESHOLD)
        return Outcomes(
            rows=self.overlaps.rows,
            kinds=error_kinds(evidence),
            found_truth=evidence.matched,
            own_iou=evidence.own_iou,
            other_truth=np.where(evidence.reaches_other, evidence.other_truth, NOTHING),
        )

    @cached_property
    def truth_scores(self) -> Float64[np.ndarray, "G K"]:
        """Return, for every annotated tube, the score of each class: that of the surest tube that overlaps it enough.

        It is 0 where no tube does.
        """
        table = self.overlaps
        enough = table.pair_iou >= IOU_THRESHOLD
        detection, truth = table.pair_detection[enough], table.pair_truth[enough]
        scores = np.zeros((len(table.truth_rows), self.tables.num_classes))
        np.maximum.at(scores, (truth, table.labels[detection]), table.scores[detection])
        return scores

    def video_key(self, row: int) -> str:
        """Return the video of a detected tube."""
        return self.annotations.videos[self.tables.tubes.videos[row]].key

    def tube(self, row: int) -> Tube:
        """Return a detected tube."""
        return tube_of(self.tables.tubes, row)


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What became of each detected tube that counts.

    Attributes:
        rows: (D,) its row in the table of detected tubes, rising.
        kinds: (D,) `ErrorKind`; `NONE` if it is right.
        found_truth: (D,) row of the annotated tube that it finds, or `NOTHING`.
        own_iou: (D,) its overlap with the annotated tube of its class that it overlaps most; -1 if there is none.
        other_truth: (D,) row of an annotated tube of another class that it overlaps enough to find it, or `NOTHING`.
    """

    rows: Int64[np.ndarray, " D"]
    kinds: Int64[np.ndarray, " D"]
    found_truth: Int64[np.ndarray, " D"]
    own_iou: Float64[np.ndarray, " D"]
    other_truth: Int64[np.ndarray, " D"]


def read_scored_set(path: Path, protocol: Protocol) -> ScoredSet:
    """Return the detections of a file.

    Args:
        path: .npz with detections and ground truth, as tools/test.py writes it.
        protocol: how they are scored.

    Raises:
        StalError: the file cannot be read or is invalid.
    """
    evaluand = read_evaluand(path)
    return ScoredSet(path, evaluand.annotations, evaluand.tables, protocol)


def tube_of(table: TubeTable, row: int) -> Tube:
    """Return one tube of a table, with its score."""
    boxes = slice(int(table.offsets[row]), int(table.offsets[row + 1]))
    return Tube(
        int(table.labels[row]),
        table.frames[boxes],
        table.boxes[boxes].astype(np.float32),
        id=row,
        score=float(table.scores[row]),
    )
