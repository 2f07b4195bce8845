"""The losses of the RoI head, and which proposals they are taken on."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import box_iou


class RoiSamples(NamedTuple):
    """The keyframe boxes of one clip that the RoI head is trained on.

    Attributes:
        boxes: (R, 4) xyxy pixels of the clip.
        actors: (R,) the actor (a row of the clip's boxes) that each shows; -1 for background.
    """

    boxes: Float[Tensor, "R 4"]
    actors: Int64[Tensor, " R"]


def sample_rois(
    proposals: Float[Tensor, "P 4"],
    actor_boxes: Float[Tensor, "N 4"],
    present: Bool[Tensor, " N"],
    *,
    num_samples: int,
    positive_fraction: float,
    positive_iou: float,
) -> RoiSamples:
    """Draw proposals of one clip for training, and say which actor each shows (Ren et al. 2015).

    The actors' own boxes join the proposals. A proposal shows the actor that it overlaps most if by `positive_iou` or
    more; at most `positive_fraction` of the samples show one.

    Args:
        proposals: boxes on the keyframe.
        actor_boxes: the actors' boxes on the keyframe.
        present: which actors are on the keyframe; the others take no part.
        num_samples: how many are drawn at most.
        positive_fraction: largest share of samples that show an actor.
        positive_iou: IoU from which a proposal shows an actor.
    """
    candidates = torch.cat([proposals, actor_boxes[present]])
    if not present.any():
        order = torch.randperm(len(candidates), device=candidates.device)[:num_samples]
        return RoiSamples(candidates[order], torch.full_like(order, -1))
    iou = box_iou(candidates, actor_boxes).masked_fill(~present, -1)
    best_iou, best_actor = iou.max(dim=1)
    actors = torch.where(best_iou >= positive_iou, best_actor, -1)
    shuffled = torch.randperm(len(candidates), device=candidates.device)
    positive, negative = shuffled[actors[shuffled] >= 0], shuffled[actors[shuffled] < 0]
    positive = positive[: int(num_samples * positive_fraction)]
    chosen = torch.cat([positive, negative[: num_samples - len(positive)]])
    return RoiSamples(candidates[chosen], actors[chosen])


def classification_loss(
    logits: Float[Tensor, "R K"], labels: Int64[Tensor, " R"], label_weights: Float[Tensor, " R"] | None = None
) -> Float[Tensor, ""]:
    """Return binary cross-entropy, summed over classes and averaged over tubelets.

    Args:
        logits: one independent logit per class.
        labels: class of each tubelet; -1 for background, which is no class at all.
        label_weights: target of each tubelet's own class, in [0, 1]; None for 1.
    """
    targets = F.one_hot(labels + 1, logits.shape[1] + 1)[:, 1:].to(logits.dtype)
    if label_weights is not None:
        targets = targets * label_weights[:, None]
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="sum") / max(len(logits), 1)


def box_loss(
    deltas: Float[Tensor, "R T 4"], targets: Float[Tensor, "R T 4"], valid: Bool[Tensor, "R T"]
) -> Float[Tensor, ""]:
    """Return the smooth L1 distance of the deltas on the frames that have a box, averaged over those frames."""
    distance = F.smooth_l1_loss(deltas, targets, beta=1.0, reduction="none").sum(-1)
    return (distance * valid).sum() / valid.sum().clamp(min=1)


def presence_loss(logits: Float[Tensor, "R T"], valid: Bool[Tensor, "R T"]) -> Float[Tensor, ""]:
    """Return binary cross-entropy between presence logits and the frames on which the actor has a box."""
    if not logits.numel():
        return logits.sum()
    return F.binary_cross_entropy_with_logits(logits, valid.to(logits.dtype))
