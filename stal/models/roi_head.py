"""The RoI head: from a tubelet's features to its class logits, and to a box on every one of its frames."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from stal.models.backbone import PathwayFeatures
from stal.ops.roi_align import tube_roi_align

_DELTA_SCALE = (10.0, 10.0, 5.0, 5.0)  # Ren et al. 2015: gives the four deltas about unit variance
_MAX_LOG_SCALE = math.log(1000.0 / 16.0)


def encode_boxes(boxes: Float[Tensor, "*N 4"], anchors: Float[Tensor, "*N 4"]) -> Float[Tensor, "*N 4"]:
    """Return the deltas (x, y, log w, log h; Ren et al. 2015) that move `anchors` onto `boxes`."""
    size, anchor_size = boxes[..., 2:] - boxes[..., :2], anchors[..., 2:] - anchors[..., :2]
    centre, anchor_centre = (boxes[..., 2:] + boxes[..., :2]) / 2, (anchors[..., 2:] + anchors[..., :2]) / 2
    deltas = torch.cat([(centre - anchor_centre) / anchor_size, (size / anchor_size).log()], dim=-1)
    return deltas * deltas.new_tensor(_DELTA_SCALE)


def decode_boxes(deltas: Float[Tensor, "*N 4"], anchors: Float[Tensor, "*N 4"]) -> Float[Tensor, "*N 4"]:
    """Return `anchors` moved by `deltas`; the inverse of `encode_boxes`."""
    deltas = deltas / deltas.new_tensor(_DELTA_SCALE)
    anchor_size = anchors[..., 2:] - anchors[..., :2]
    centre = (anchors[..., 2:] + anchors[..., :2]) / 2 + deltas[..., :2] * anchor_size
    half = deltas[..., 2:].clamp(-_MAX_LOG_SCALE, _MAX_LOG_SCALE).exp() * anchor_size / 2
    return torch.cat([centre - half, centre + half], dim=-1)


class RegressionStep(NamedTuple):
    """What one step of the regressor says of R tubelets.

    Attributes:
        anchors: (R, T, 4) the tubelets that it started from, xyxy pixels of the clip.
        deltas: (R, T, 4) where the actor is, relative to them; see `encode_boxes`.
        presence: (R, T) logits of the actor acting on a frame.
    """

    anchors: Float[Tensor, "R T 4"]
    deltas: Float[Tensor, "R T 4"]
    presence: Float[Tensor, "R T"]

    @property
    def tubelets(self) -> Float[Tensor, "R T 4"]:
        """The tubelets moved by the deltas; constants, as no gradient goes through boxes."""
        return decode_boxes(self.deltas.detach(), self.anchors)


class TubeletRegressor(nn.Module):
    """Say for every frame of a tubelet where its actor is, and whether it acts there.

    It does so in steps, each with weights of its own and from the tubelets of the one before (Cai & Vasconcelos 2018,
    Cascade R-CNN): the first sees a box that stands still, the next ones a tubelet that follows the actor. The slow
    features are repeated over the frames that they stand for and joined to the fast ones, if there are any; fine ones
    say where the actor's outline is.

    Args:
        in_channels: channels of the slow and the fast features together.
        fine_channels: channels of the fine features.
        channels: channels after the reduction, and of the hidden layers.
        bins: RoIAlign's output is bins x bins.
        num_steps: number of steps.
    """

    def __init__(
        self, *, in_channels: int, fine_channels: int, channels: int = 256, bins: int = 7, num_steps: int = 2
    ) -> None:
        super().__init__()
        self.bins = bins
        self.reduce = nn.Sequential(nn.Conv3d(in_channels, channels, 1), nn.ReLU())
        self.steps = nn.ModuleList()
        for _ in range(num_steps):
            output = nn.Linear(channels, 5)
            nn.init.normal_(output.weight, std=0.001)
            nn.init.zeros_(output.bias)
            hidden = nn.Linear((channels + fine_channels) * bins * bins, channels)
            self.steps.append(nn.Sequential(hidden, nn.ReLU(), output))

    def forward(
        self,
        features: PathwayFeatures,
        tubelets: Float[Tensor, "R T 4"],
        batch_index: Int64[Tensor, " R"] | None,
        strides: tuple[int, int],
    ) -> list[RegressionStep]:
        """Return the steps, the first of which starts from `tubelets`; the last one's tubelets are the result.

        Args:
            features: of the clips.
            tubelets: xyxy pixels of the clip.
            batch_index: the clip of each tubelet; None as in `tube_roi_align`.
            strides: pixels of the clip from one feature to the next, of the coarse and of the fine ones.
        """
        num_frames = max(maps.shape[2] for maps in features.coarse)
        joined = self.reduce(torch.cat([_repeated(maps, num_frames) for maps in features.coarse], dim=1))
        steps = []
        for layers in self.steps:
            pooled = [
                _pool_every_frame(maps, tubelets, batch_index, self.bins, 1 / stride)
                for maps, stride in zip((joined, features.fine), strides, strict=True)
            ]
            output = layers(torch.cat(pooled, dim=1).transpose(1, 2).flatten(2)).float()
            steps.append(RegressionStep(tubelets, output[..., :4], output[..., 4]))
            tubelets = steps[-1].tubelets
        return steps


class TubeletClassifier(nn.Module):
    """Score the classes of a tubelet: mean over its frames, maximum over its bins, one linear layer.

    Classes are independent (sigmoid): the logit of a class is all that its score depends on, so a penalty on the
    logit's gradient is a penalty on the score's.

    Args:
        in_channels: channels of the slow and the fast features together.
        num_classes: number of classes.
        bins: RoIAlign's output is bins x bins.
        dropout: share of features dropped in training.
        prior: the score that every class starts with (Lin et al. 2017, section 4.1).
    """

    def __init__(
        self, *, in_channels: int, num_classes: int, bins: int = 7, dropout: float = 0.5, prior: float = 0.05
    ) -> None:
        super().__init__()
        self.bins = bins
        self.dropout = dropout
        self.logits = nn.Linear(in_channels, num_classes)
        nn.init.normal_(self.logits.weight, std=0.01)
        nn.init.constant_(self.logits.bias, math.log(prior / (1 - prior)))

    def forward(
        self,
        features: PathwayFeatures,
        tubelets: Float[Tensor, "R T 4"],
        batch_index: Int64[Tensor, " R"] | None,
        slow_frames: Int64[Tensor, " T_slow"],
        spatial_scale: float,
        dropout: Float[Tensor, "R F"] | None = None,
    ) -> tuple[Float[Tensor, "R K"], Float[Tensor, "R F"]]:
        """Return class logits, and the pooled features before dropout that they are a linear function of.

        Args:
            features: of the clips.
            tubelets: xyxy pixels of the clip.
            batch_index: the clip of each tubelet; None as in `tube_roi_align`.
            slow_frames: the frames of the clip that the slow features stand for.
            spatial_scale: features a pixel.
            dropout: what the pooled features are multiplied by; None draws it.
        """
        seen = [(features.slow, tubelets[:, slow_frames])]
        if features.fast is not None:
            seen.append((features.fast, tubelets))
        size = (self.bins, self.bins)
        pooled = torch.cat(
            [tube_roi_align(*each, batch_index, size, spatial_scale=spatial_scale).mean(2) for each in seen], dim=1
        )
        strongest = pooled.amax((2, 3))
        dropout = self.draw_dropout(strongest.shape[0]) if dropout is None else dropout
        return self.logits(strongest * dropout.to(strongest.dtype)), strongest

    def draw_dropout(self, num_tubelets: int) -> Float[Tensor, "R F"]:
        """Return a draw of dropout: what features are multiplied by; ones outside training."""
        ones = self.logits.weight.new_ones(num_tubelets, self.logits.in_features)
        return F.dropout(ones, self.dropout, self.training)


def _repeated(maps: Float[Tensor, "B C t H W"], num_frames: int) -> Float[Tensor, "B C T H W"]:
    """Return features that each stand for equally many frames, at every one of them."""
    return maps if maps.shape[2] == num_frames else maps.repeat_interleave(num_frames // maps.shape[2], dim=2)


def _pool_every_frame(
    maps: Float[Tensor, "B C t H W"],
    tubelets: Float[Tensor, "R T 4"],
    batch_index: Int64[Tensor, " R"] | None,
    bins: int,
    spatial_scale: float,
) -> Float[Tensor, "R C T h w"]:
    """Return what `tube_roi_align` gives of `_repeated` features, without a copy of them for every frame."""
    num_tubelets, num_frames, _ = tubelets.shape
    num_steps = maps.shape[2]
    repeats = num_frames // num_steps
    if repeats > 1:  # a tubelet becomes several, each with one of the frames that a feature stands for
        tubelets = tubelets.unflatten(1, (num_steps, repeats)).transpose(1, 2).flatten(0, 1)
        batch_index = None if batch_index is None else batch_index.repeat_interleave(repeats)
    pooled = tube_roi_align(maps, tubelets, batch_index, (bins, bins), spatial_scale=spatial_scale)
    if repeats == 1:
        return pooled
    return pooled.unflatten(0, (num_tubelets, repeats)).movedim(1, 3).flatten(2, 3)
