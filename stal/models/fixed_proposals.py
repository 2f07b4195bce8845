"""Proposals as tensors of one shape, whatever a clip shows, by operations that can be exported."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from stal.models.backbone import PathwayFeatures
from stal.models.proposals import KeyframeProposals
from stal.ops.tubelets import clip_boxes


def fixed_proposals(
    proposals: KeyframeProposals, features: PathwayFeatures, clip_size: tuple[int, int]
) -> tuple[Float[Tensor, "B P 4"], Bool[Tensor, "B P"]]:
    """Return what `proposals` gives in testing, filled up to as many boxes for every clip.

    torchvision's network gives as many as a clip happens to have, by operations whose shapes depend on values. Here its
    steps have fixed shapes, and the suppression is written out: one step for each candidate.

    Args:
        proposals: in evaluation mode.
        features: of the clips.
        clip_size: (height, width) of the clips.

    Returns:
        Boxes, xyxy pixels of the clip: first those of `proposals`, in its order, then candidates that it suppresses.
        And True where a box is one of `proposals`.
    """
    rpn = proposals.rpn
    boxes, objectness = _candidates(proposals, features, clip_size)
    num_candidates = min(rpn.pre_nms_top_n(), objectness.shape[1])
    boxes = clip_boxes(_rows(boxes, objectness.topk(num_candidates, dim=1).indices), *clip_size)
    is_kept = (boxes[..., 2:] - boxes[..., :2] >= rpn.min_size).all(-1)
    suppresses = (_pairwise_iou(boxes) > rpn.nms_thresh).triu(diagonal=1)  # the surer one the less sure one
    for candidate in range(num_candidates):
        is_kept = is_kept & ~(suppresses[:, candidate] & is_kept[:, candidate : candidate + 1])
    rank = torch.arange(num_candidates, device=boxes.device)
    kept_first = torch.where(is_kept, rank, rank + num_candidates)
    num_proposals = min(rpn.post_nms_top_n(), num_candidates)
    taken = kept_first.topk(num_proposals, dim=1, largest=False).indices
    return _rows(boxes, taken), is_kept.gather(1, taken)


def _candidates(
    proposals: KeyframeProposals, features: PathwayFeatures, clip_size: tuple[int, int]
) -> tuple[Float[Tensor, "B N 4"], Float[Tensor, "B N"]]:
    """Return the box that the network makes of every anchor, and how surely it is an actor's (logits)."""
    rpn = proposals.rpn
    maps = proposals.keyframe_features(features).float()
    num_clips, _, height, width = maps.shape
    (objectness,), (deltas,) = rpn.head([maps])
    strides = [clip_size[0] // height, clip_size[1] // width]
    (anchors,) = rpn.anchor_generator.grid_anchors([[height, width]], [strides])  # row by row, an anchor's sizes last
    deltas = deltas.reshape(num_clips, -1, 4, height, width).permute(0, 3, 4, 1, 2).reshape(-1, 4)
    boxes = rpn.box_coder.decode_single(deltas, anchors.repeat(num_clips, 1))
    return boxes.reshape(num_clips, -1, 4), objectness.permute(0, 2, 3, 1).flatten(1)


def _rows(boxes: Float[Tensor, "B N 4"], rows: Int64[Tensor, "B M"]) -> Float[Tensor, "B M 4"]:
    return boxes.gather(1, rows[..., None].expand(-1, -1, 4))


def _pairwise_iou(boxes: Float[Tensor, "B N 4"]) -> Float[Tensor, "B N N"]:
    """Return the IoU of every pair of boxes of a clip, in the operations of torchvision's suppression."""
    top_left = torch.maximum(boxes[:, :, None, :2], boxes[:, None, :, :2])
    bottom_right = torch.minimum(boxes[:, :, None, 2:], boxes[:, None, :, 2:])
    overlap = (bottom_right - top_left).clamp(min=0).prod(-1)
    area = (boxes[..., 2:] - boxes[..., :2]).prod(-1)
    return overlap / (area[:, :, None] + area[:, None] - overlap)
