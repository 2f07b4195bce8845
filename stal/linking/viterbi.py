"""Viterbi linking: the path of highest energy, again and again (Gkioxari & Malik, CVPR 2015)."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float64, Int64

from stal.linking.parameters import require_count, require_fraction, require_non_negative
from stal.linking.paths import PathRows, overlapping_boxes
from stal.structures import Detections


@dataclass(frozen=True)
class ViterbiLinking:
    """Extract the path of highest energy of each class, remove its boxes, and repeat.

    The energy of a path is the sum over its links of `s_a + s_b + iou_weight * IoU(a, b)`, for the scores and the
    overlap of the two boxes (Gkioxari & Malik, CVPR 2015, eq. 3; Peng & Schmid, ECCV 2016). There every path has a box
    on every frame, and extraction ends when a frame has none left. Here a path may start and end anywhere, and pass
    over frames: those without a box of its class, and those on which every box would cost more overlap than its score
    brings. A path ends where no box follows within `max_gap` frames.

    Attributes:
        iou_weight: weight of overlap against scores, lambda in the paper. Gkioxari & Malik's code: 1.
        iou_threshold: overlap that a link needs. The papers have none: 0.
        max_gap: at most so many frames in a row have no box of the path. Not published.
        max_paths: number of paths that are extracted for each class. YOWOv2: 3; Gkioxari & Malik: until a
            frame is empty.
    """

    iou_weight: float = 1.0
    iou_threshold: float = 0.0
    max_gap: int = 10
    max_paths: int = 10

    def __post_init__(self) -> None:
        require_non_negative("iou_weight", self.iou_weight)
        require_fraction("iou_threshold", self.iou_threshold)
        require_count("max_gap", self.max_gap, minimum=0)
        require_count("max_paths", self.max_paths, minimum=1)

    def __call__(self, boxes: Detections) -> list[PathRows]:
        """Return the paths through `boxes`, which `Candidates` has sorted."""
        earlier, later, iou = overlapping_boxes(boxes, self.max_gap, self.iou_threshold)
        order = np.lexsort((earlier, later, boxes.frames[later]))
        earlier, later, iou = earlier[order], later[order], iou[order]
        gains = boxes.scores[earlier] + boxes.scores[later] + self.iou_weight * iou

        paths: list[PathRows] = []
        free = np.ones(len(boxes), bool)
        for _ in range(self.max_paths):
            energy, before = _best_energies(boxes.frames, earlier, later, gains)
            rows = np.flatnonzero(free)
            rows = rows[np.lexsort((-energy[rows], boxes.labels[rows]))]
            ends = rows[np.diff(boxes.labels[rows], prepend=-1) != 0]
            for end in ends.tolist():
                path = [end]
                while (row := int(before[path[-1]])) >= 0:
                    path.append(row)
                free[path] = False
                paths.append(path[::-1])
            usable = free[earlier] & free[later]
            earlier, later, gains = earlier[usable], later[usable], gains[usable]
        return paths


def _best_energies(
    frames: Int64[np.ndarray, " N"],
    earlier: Int64[np.ndarray, " P"],
    later: Int64[np.ndarray, " P"],
    gains: Float64[np.ndarray, " P"],
) -> tuple[Float64[np.ndarray, " N"], Int64[np.ndarray, " N"]]:
    """Return the energy of the best path to each box, and the box before it on this path, or -1.

    Goes through the frames once, in all classes at the same time. Of equal paths, that through the first row is best.

    Args:
        frames: frame of each box.
        earlier: of each link, the box that it leaves; links are sorted by the frame of `later`, `later`, `earlier`.
        later: of each link, the box that it reaches.
        gains: of each link, what it adds to the energy.
    """
    energy = np.zeros(len(frames))
    before = np.full(len(frames), -1)
    firsts = np.flatnonzero(np.diff(later, prepend=-1) != 0)  # the first link that reaches each box
    steps = np.flatnonzero(np.diff(frames[later[firsts]], prepend=-1) != 0).tolist()
    for step, next_step in pairwise([*steps, len(firsts)]):
        start = firsts[step]
        end = firsts[next_step] if next_step < len(firsts) else len(later)
        links = slice(start, end)
        totals = energy[earlier[links]] + gains[links]
        offsets = firsts[step:next_step] - start
        best = np.maximum.reduceat(totals, offsets)
        reached = later[firsts[step:next_step]]
        energy[reached] = best
        is_best = np.flatnonzero(totals == np.repeat(best, np.diff(offsets, append=end - start)))
        first_of_box = np.diff(later[links][is_best], prepend=-1) != 0
        before[reached] = earlier[links][is_best[first_of_box]]
    return energy, before
