"""Geometry of tubelets: boxes on every one of T consecutive frames of a clip, as tensors (R, T, 4)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def clip_boxes(boxes: Float[Tensor, "*N 4"], height: int, width: int) -> Float[Tensor, "*N 4"]:
    """Return xyxy `boxes` cut to an image of `height` x `width` pixels."""
    limit = boxes.new_tensor([width, height, width, height])
    return boxes.clamp(min=0).minimum(limit)


def tubelet_iou(a: Float[Tensor, "R T 4"], b: Float[Tensor, "S T 4"]) -> Float[Tensor, "R S"]:
    """Return the IoU of the boxes of every pair of tubelets, averaged over their frames; empty boxes have IoU 0."""
    top_left = torch.maximum(a[:, None, :, :2], b[None, :, :, :2])
    bottom_right = torch.minimum(a[:, None, :, 2:], b[None, :, :, 2:])
    overlap = (bottom_right - top_left).clamp(min=0).prod(-1)
    area_a, area_b = ((x[..., 2:] - x[..., :2]).clamp(min=0).prod(-1) for x in (a, b))
    union = area_a[:, None] + area_b[None] - overlap
    return (overlap / union.clamp(min=torch.finfo(union.dtype).tiny)).mean(-1)


def nms_per_class(iou: Float[Tensor, "R R"], scores: Float[Tensor, "R K"], max_iou: float) -> Bool[Tensor, "R K"]:
    """Return which tubelets survive greedy non-maximum suppression, for each class by itself.

    Args:
        iou: overlap of every pair of tubelets.
        scores: score of each tubelet for each class.
        max_iou: a tubelet is dropped from a class if it overlaps a better one that is kept by more than this.
    """
    num_tubelets, num_classes = scores.shape
    order = scores.argsort(dim=0, descending=True, stable=True)
    kept = torch.ones_like(scores, dtype=torch.bool)
    overlaps = iou > max_iou
    classes = torch.arange(num_classes, device=scores.device)
    for rank in range(num_tubelets):  # every class takes its rank-th best tubelet in the same step
        best = order[rank]
        worse = torch.zeros_like(kept)
        worse[order[rank + 1 :], classes] = True
        kept &= ~(worse & overlaps[best].T & kept[best, classes])
    return kept


def fill_frames(boxes: Float[Tensor, "N T 4"], valid: Bool[Tensor, "N T"]) -> Float[Tensor, "N T 4"]:
    """Return `boxes` with every frame that is not `valid` given the box of the nearest frame that is.

    Of two equally near ones it is the earlier. Every row has at least one valid frame.
    """
    frames = torch.arange(boxes.shape[1], device=boxes.device)
    distance = (frames[:, None] - frames[None]).abs().expand(len(boxes), -1, -1)
    nearest = distance.masked_fill(~valid[:, None], boxes.shape[1]).argmin(-1)
    return boxes.gather(1, nearest[..., None].expand(-1, -1, 4))
