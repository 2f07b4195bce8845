"""The worst (action, scene) group counts most.

Sagawa, Koh, Hashimoto, Liang, "Distributionally Robust Neural Networks for Group Shifts", ICLR 2020, arXiv 1911.08731.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, distributed, nn
from torch.nn import functional as F

from stal.errors import ConfigError
from stal.losses.penalty import Schedule
from stal.losses.scored_actors import ScoredActors, actor_losses


class GroupDRO(nn.Module):
    """Weigh the actors' classification loss by the weights q of their (action, scene) groups.

    The online algorithm of the paper (Algorithm 1), for batches in which a group is as often as in the data. With the
    loss l_g of a group averaged over its actors in the batch, and the part r_g of all batches so far that it was in,

        q_g <- q_g exp(step_size * l_g / r_g), normalised to sum 1;
        robust loss = sum_g (q_g / r_g) l_g / sum_g (q_g / r_g),

    both for the groups in the batch; the others' q changes by the normalisation alone. The paper draws groups evenly,
    the published code draws batches in which all are; here a rare group would fall behind a frequent one whatever its
    loss. Divided by r_g, what log q gains is on average step_size * l_g a batch for every group. The robust loss is a
    mean of the losses of the groups in the batch, on the scale of the ordinary one: the ratio of two sums whose
    averages over batches are sum_g q_g l_g and 1. Where all groups are in the batch it is the paper's. Where few are,
    it is not that on average: a group cannot count in batches that it is not in, so that a rare one counts less than
    its q says. What is returned is

        weight * share * (robust loss - mean over actors of l),

    so that with weight 1 the detector's own loss of the actors (a `share` of its classification loss) is replaced by
    the robust one, and with weight 0 left alone. The proposals that the detector is trained on keep their loss, also
    those that show an actor; where there are many of them the weight has to be larger for the groups to be heard. (A
    weight over 1, or an interval, takes more than the whole mean away: it unlearns groups of very little weight.)

    Ours differs in two more ways. Groups join when they are first seen, all with the same q, since most pairs of an
    action and a scene may never occur; this is the paper's algorithm over the groups that do. Actors of an unknown
    scene keep their ordinary loss. The paper's group adjustment is left out.

    In distributed training the batch is that of all processes: q is the same in all, and the mean of their gradients
    has the weight of the known actors, the mean over processes of `share`, on the robust loss over all of them.

    Args:
        weight: how much of the ordinary loss is replaced; 1 for the paper's.
        num_classes: number of actions.
        num_scenes: number of scenes of the annotation.
        step_size: of q, on the scale of the loss; the published code's is 0.01.
        interval: take the penalty on every `interval`-th step only, see `Schedule`; q changes on these alone.
        warmup_steps: steps over which the weight grows from 0.
        start_step: the first step with the penalty.
    """

    needs_input_gradient = False
    gains: Tensor
    times_seen: Tensor
    num_batches: Tensor

    def __init__(
        self,
        weight: float,
        *,
        num_classes: int,
        num_scenes: int,
        step_size: float = 0.01,
        interval: int = 1,
        warmup_steps: int = 0,
        start_step: int = 0,
    ) -> None:
        super().__init__()
        if min(num_classes, num_scenes) < 1 or not 0 <= step_size < float("inf"):
            raise ConfigError(
                f"GroupDRO: num_classes = {num_classes} and num_scenes = {num_scenes} must be at least 1, and "
                f"step_size = {step_size} not negative"
            )
        self.schedule = Schedule(weight, interval, warmup_steps, start_step)
        self.num_classes = num_classes
        self.num_scenes = num_scenes
        self.step_size = step_size
        num_groups = num_classes * num_scenes
        # The logarithm of q but for a constant: q itself would become 0 and never grow again.
        self.register_buffer("gains", torch.zeros(num_groups, dtype=torch.float64))
        self.register_buffer("times_seen", torch.zeros(num_groups, dtype=torch.int64))
        self.register_buffer("num_batches", torch.zeros((), dtype=torch.int64))

    @property
    def group_weights(self) -> Float[Tensor, " G"]:
        """The weights q of the groups, all scenes of class 0 first; 0 for groups that were never seen."""
        return _softmax_among(self.times_seen > 0, self.gains)

    def forward(self, actors: ScoredActors, *, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Return `loss_group_dro`, and for the log the largest loss of a group of the batch, and the largest weight.

        Without actors the loss is zero, and the weights stay as they are.
        """
        if actors.logits.shape[1] != self.num_classes:
            raise ConfigError(
                f"GroupDRO: num_classes = {self.num_classes}, but the detector has {actors.logits.shape[1]} classes"
            )
        scenes = actors.known_scenes(self.num_scenes)
        known = scenes >= 0
        groups = F.one_hot(actors.labels * self.num_scenes + scenes.clamp(min=0), len(self.gains)) * known[:, None]
        losses = actor_losses(actors.logits, actors.targets)
        own_sums, own_counts = (groups * losses[:, None]).sum(0), groups.sum(0)
        per_actor = actors.share / max(len(actors), 1)  # what each weighs in the detector's own loss
        sums, counts, replaced = _over_processes(own_sums.detach(), own_counts, per_actor * own_counts.sum())
        means = sums / counts.clamp(min=1)
        present = counts > 0
        self._learn(means, present)

        # q / r of the groups in the batch, normalised, as logarithms: the least of them may be all that are present.
        weights = _softmax_among(present, self.gains - self.times_seen.log()).to(losses.dtype)
        # The gradients of processes are averaged, so that what is replaced in all of them together stays as large.
        robust = (weights * own_sums / counts.clamp(min=1)).sum()
        return {
            "loss_group_dro": self.schedule.factor(step) * (replaced * robust - per_actor * own_sums.sum()),
            "group_dro_worst_loss": means.max(),
            "group_dro_largest_weight": self.group_weights.max().to(losses.dtype),
        }

    @torch.no_grad()
    def _learn(self, means: Float[Tensor, " G"], present: Bool[Tensor, " G"]) -> None:
        """Let the weights follow the losses of the groups that are in the batch; the others' are 0."""
        self.num_batches += present.any()
        self.times_seen += present
        self.gains += self.step_size * means * self.num_batches / self.times_seen.clamp(min=1)


def _softmax_among(members: Bool[Tensor, " G"], logits: Float[Tensor, " G"]) -> Float[Tensor, " G"]:
    """Return the softmax over the members alone; 0 for the others, and for all if there is none."""
    return logits.masked_fill(~members, torch.finfo(logits.dtype).min).softmax(0) * members


def _over_processes(*values: Tensor) -> tuple[Tensor, ...]:
    """Return the sum of each over all processes."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return values
    together = torch.cat([value.double().flatten() for value in values])
    distributed.all_reduce(together)
    parts = together.split([value.numel() for value in values])
    return tuple(part.view_as(value).to(value.dtype) for part, value in zip(parts, values, strict=True))
