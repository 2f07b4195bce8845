"""From the class logits of the persons of a clip to those of the clip: what is learnt where only clips have labels."""

from typing import Literal, get_args

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from stal.errors import ConfigError

Pool = Literal["max", "log_sum_exp", "attention", "mean"]


class ClipPool(nn.Module):
    """Pool class logits over the RoIs of each clip, each class by itself.

    With n RoIs of logits f_i:

    - `max`: max_i f_i. The clip shows a class if one of its persons does; that one alone learns.
    - `log_sum_exp`: log(mean_i exp(s f_i)) / s, between the mean and the maximum (Pinheiro & Collobert 2015, arXiv
      1411.6228, equation 6). It does not grow with the number of persons.
    - `attention`: sum_i a_i f_i, a = softmax over i of w . (tanh(V h_i) * sigmoid(U h_i)) with the features h_i that
      the logits are made of (Ilse, Tomczak, Welling 2018, arXiv 1802.04712, equation 9). Theirs tells one class, and
      has one w; ours has one for each class, since different persons of a clip do different things.
    - `mean`: mean_i f_i.

    All of them give a RoI that is alone its own logits, and do not depend on the order.

    Args:
        in_channels: length of the features of a RoI.
        num_classes: number of classes.
        kind: which.
        sharpness: s of `log_sum_exp`.
        hidden_channels: rows of U and V.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        num_classes: int,
        kind: Pool = "log_sum_exp",
        sharpness: float = 1.0,
        hidden_channels: int = 64,
    ) -> None:
        super().__init__()
        if kind not in get_args(Pool):
            raise ConfigError(f"ClipPool: kind = {kind!r} is none of {', '.join(map(repr, get_args(Pool)))}")
        if not 0 < sharpness < float("inf") or hidden_channels < 1:
            raise ConfigError(
                f"ClipPool: sharpness = {sharpness} must be positive and finite, and hidden_channels = "
                f"{hidden_channels} at least 1"
            )
        self.kind = kind
        self.sharpness = sharpness
        if kind == "attention":
            self.content = nn.Linear(in_channels, hidden_channels)
            self.gate = nn.Linear(in_channels, hidden_channels)
            self.weigh = nn.Linear(hidden_channels, num_classes, bias=False)

    def forward(
        self, logits: Float[Tensor, "R K"], features: Float[Tensor, "R F"], group: Int64[Tensor, " R"]
    ) -> Float[Tensor, "G K"]:
        """Return the logits of each group of RoIs.

        Args:
            logits: of the RoIs.
            features: of the RoIs.
            group: number of the group of each, from 0; none is left out, as by `unique(return_inverse=True)`.
        """
        if self.kind == "max":
            return _in_groups(logits, group, -torch.inf).amax(1)
        num_rois = torch.bincount(group)[:, None].to(logits.dtype)
        if self.kind == "mean":
            return _in_groups(logits, group, 0.0).sum(1) / num_rois
        if self.kind == "log_sum_exp":
            summed = _in_groups(self.sharpness * logits, group, -torch.inf).logsumexp(1)
            return (summed - num_rois.log()) / self.sharpness
        weights = self.weigh(self.content(features).tanh() * self.gate(features).sigmoid())
        attention = _in_groups(weights.to(logits.dtype), group, -torch.inf).softmax(1)
        return (attention * _in_groups(logits, group, 0.0)).sum(1)


def _in_groups(values: Float[Tensor, "R K"], group: Int64[Tensor, " R"], fill: float) -> Float[Tensor, "G M K"]:
    """Return the values group by group, in their order, and `fill` behind those of groups that have fewer than others.

    Padding, and not a scatter: all that follows has exact second derivatives.
    """
    counts = torch.bincount(group)
    order = group.argsort(stable=True)
    first = counts.cumsum(0) - counts
    place = torch.arange(len(group), device=group.device) - first[group[order]]
    largest = int(counts.max()) if len(counts) else 1
    padded = values.new_full((len(counts), largest, values.shape[1]), fill)
    return padded.index_put((group[order], place), values[order])
