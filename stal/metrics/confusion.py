"""Which actions are taken for which others."""

import numpy as np
from jaxtyping import Int64

from stal.metrics.matching import reaches
from stal.metrics.overlaps import OverlapTable
from stal.metrics.protocol import Rules


def confusion_matrix(
    table: OverlapTable, rules: Rules, iou_threshold: float, num_classes: int
) -> Int64[np.ndarray, "K K+1"]:
    """Count what each ground-truth item is taken for: the class of the surest detection that overlaps it enough.

    Every item is looked at alone, so that a detection may speak for several. Which detection is the surest depends on
    scores of different classes being comparable.

    Args:
        table: overlaps of boxes or of tubes, with the pairs of any class.
        rules: whether the threshold itself is enough, and how ties rank.
        iou_threshold: overlap that a detection needs.
        num_classes: number of classes of the data set.

    Returns:
        (K, K + 1) number of items by their class (row) and the class they are taken for (column); in the last column
        those that no detection overlaps enough.
    """
    enough = reaches(table.pair_iou, rules, iou_threshold)
    detection, truth = table.pair_detection[enough], table.pair_truth[enough]
    best_rank = np.full(len(table.truth_rows), len(table.rows))
    np.minimum.at(best_rank, truth, table.rank[detection])
    labels_in_rank = np.append(table.labels[table.ranking], num_classes)  # behind the last rank: missed
    cells = table.truth_labels * (num_classes + 1) + labels_in_rank[best_rank]
    return np.bincount(cells, minlength=num_classes * (num_classes + 1)).reshape(num_classes, num_classes + 1)
