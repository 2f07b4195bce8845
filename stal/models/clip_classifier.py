"""A classifier of clips: which classes a clip shows, learnt from the labels of videos, without a box."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from stal.mixing.mask_sources import SourceClipMasks
from stal.mixing.penalty_rows import PenaltyRows, rows_of_labels, sources_of_voxels
from stal.models.backbone import Backbone, PathwayFeatures
from stal.models.class_training import TrainOutput
from stal.structures import ClipBatch


class ClipScores(NamedTuple):
    """How clips are scored.

    Attributes:
        logits: (B, K) one independent logit a class.
        pooled: (B, F) the mean features that they are a linear function of.
        features: of the backbone.
    """

    logits: Float[Tensor, "B K"]
    pooled: Float[Tensor, "B F"]
    features: PathwayFeatures


class ClipClassifier(nn.Module):
    """A backbone, the mean of each pathway's features over the clip, and one linear layer.

    As the mean is linear, the layer can be taken of every feature by itself: that is the class activation map, of which
    the logit is the mean (Zhou et al. 2016, arXiv 1512.04150). See `stal.attribution.class_maps`.

    Args:
        backbone: gives the features, such as `SlowFast`; see `Backbone` for what it must declare.
        num_classes: number of classes.
        dropout: share of the mean features dropped in training.
        prior: the score that every class starts with (Lin et al. 2017, section 4.1).
    """

    def __init__(self, backbone: Backbone, *, num_classes: int, dropout: float = 0.0, prior: float = 0.05) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = dropout
        self.logits = nn.Linear(backbone.slow_channels + backbone.fast_channels, num_classes)
        nn.init.normal_(self.logits.weight, std=0.01)
        nn.init.constant_(self.logits.bias, math.log(prior / (1 - prior)))

    def forward(self, clips: Float[Tensor, "B C T H W"], dropout: Float[Tensor, "B F"] | None = None) -> ClipScores:
        """Return the scores of normalised clips, differentiable twice with respect to them.

        Args:
            clips: normalised.
            dropout: what the mean features are multiplied by; None draws it in training.
        """
        features = self.backbone(clips)
        pooled = torch.cat([maps.mean((2, 3, 4)) for maps in features.coarse], dim=1)
        dropout = self._draw_dropout(len(clips)) if dropout is None else dropout
        logits = self.logits(pooled * dropout.to(pooled.dtype))
        return ClipScores(logits.to(torch.promote_types(logits.dtype, torch.float32)), pooled, features)

    def loss(self, batch: ClipBatch) -> TrainOutput:
        """Return the binary cross-entropy of normalised clips, summed over classes, and a row for each of their labels.

        What the target of a label is in a mixed clip, only its voxels can say, as nobody's place is known: it is the
        share of voxels that come from videos with the label (VideoMix, Yun et al. 2020).

        Args:
            batch: with provenance and labels of its videos; boxes and labels of actors are not looked at.

        Raises:
            ShapeError: the batch does not say which labels its videos have, or which clips its voxels are from.
        """
        dropout = self._draw_dropout(len(batch))
        logits, pooled, _ = self(batch.clips, dropout)
        of_labels = rows_of_labels(batch, sources_of_voxels(batch), logits.shape[1])
        row_clip = of_labels.clip_index
        targets = _label_shares(batch, of_labels, logits.shape[1]).to(logits.dtype)
        loss = F.binary_cross_entropy_with_logits(logits, targets, reduction="sum") / len(batch)

        def score(clips: Tensor, frames: Tensor | None = None, rows: Tensor | None = None) -> Tensor:
            # `frames` say whose boxes to take, and there are none.
            if rows is None:
                return self(clips, dropout).logits[row_clip]
            kept, clip_of_row = row_clip[rows].unique(return_inverse=True)
            return self(clips, dropout[kept]).logits[clip_of_row]

        return TrainOutput(
            {"loss_class": loss},
            logits[row_clip],
            of_labels,
            None,
            score,
            share=1.0,
            features=pooled[row_clip],
            clip_targets=targets[row_clip],
        )

    def _draw_dropout(self, num_clips: int) -> Float[Tensor, "B F"]:
        """Return a draw of dropout: what features are multiplied by; ones outside training."""
        ones = self.logits.weight.new_ones(num_clips, self.logits.in_features)
        return F.dropout(ones, self.dropout, self.training)


def _label_shares(batch: ClipBatch, rows: PenaltyRows, num_classes: int) -> Float[Tensor, "B K"]:
    """Return the share of each clip's voxels that come from videos with each label."""
    masks = SourceClipMasks()(batch, rows, torch.Generator())  # draws nothing
    shares = masks.flatten(1).float().mean(1)
    return shares.new_zeros(len(batch), num_classes).index_put((rows.clip_index, rows.labels), shares)
