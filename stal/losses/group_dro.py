"""The worst (action, scene) group counts most.

Sagawa, Koh, Hashimoto, Liang, "Distributionally Robust Neural Networks for Group Shifts", ICLR 2020, arXiv 1911.08731.
"""

import torch
from jaxtyping import Float
from torch import Tensor, distributed, nn
from torch.nn import functional as F

from stal.errors import ConfigError
from stal.losses.penalty import Schedule
from stal.losses.scored_actors import ScoredActors, actor_losses


class GroupDRO(nn.Module):
    """Weigh the actors' classification loss by the weights q of their (action, scene) groups.

    The online algorithm of the paper (Algorithm 1), with the loss l_g of a group averaged over its actors in the batch:

        q_g <- q_g exp(step_size * l_g), normalised to sum 1;        robust loss = sum_g q_g l_g

    A group that is not in the batch adds nothing to either, as in the published code: its q changes by the
    normalisation alone, and the robust loss of a small batch is smaller than a mean. What is returned is

        weight * share * (sum_g q_g l_g - mean over actors of l),

    so that with weight 1 the detector's own loss of the actors (a `share` of its classification loss) is replaced by
    the robust one, and with weight 0 left alone. The proposals that the detector is trained on keep their loss, also
    those that show an actor; where there are many of them the weight has to be larger for the groups to be heard. (A
    weight over 1, or an interval, takes more than the whole mean away: it unlearns groups of very little weight.)

    Ours differs in three ways. Groups join when they are first seen, all with the same q, since most pairs of an action
    and a scene may never occur; this is the paper's algorithm over the groups that do. Actors of an unknown scene keep
    their ordinary loss. Batches are not drawn evenly from the groups: a rare group's q grows when it is seen. The
    paper's group adjustment is left out.

    In distributed training q follows the groups' losses over all processes, and is the same in all.

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
    seen: Tensor

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
        self.register_buffer("seen", torch.zeros(num_groups, dtype=torch.bool))

    @property
    def group_weights(self) -> Float[Tensor, " G"]:
        """The weights q of the groups, all scenes of class 0 first; 0 for groups that were never seen."""
        lowest = torch.finfo(self.gains.dtype).min
        return self.gains.masked_fill(~self.seen, lowest).softmax(0) * self.seen

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
        sums, counts, num_processes = _over_processes(own_sums.detach(), own_counts)
        means = sums / counts.clamp(min=1)
        self._learn(means, counts)

        # The gradients of processes are averaged: times their number this is the loss of the groups over all of them.
        robust = num_processes * (self.group_weights.to(losses.dtype) * own_sums / counts.clamp(min=1)).sum()
        num_actors = max(len(actors), 1)
        replaced = own_counts.sum() / num_actors * robust - own_sums.sum() / num_actors
        return {
            "loss_group_dro": self.schedule.factor(step) * actors.share * replaced,
            "group_dro_worst_loss": means.max(),
            "group_dro_largest_weight": self.group_weights.max().to(losses.dtype),
        }

    @torch.no_grad()
    def _learn(self, means: Float[Tensor, " G"], counts: Tensor) -> None:
        """Let the weights follow the losses of the groups that are in the batch; the others' are 0."""
        self.gains += self.step_size * means
        self.seen |= counts > 0


def _over_processes(sums: Float[Tensor, " G"], counts: Tensor) -> tuple[Float[Tensor, " G"], Tensor, int]:
    """Return the sums and counts over all processes, and the number of these."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return sums, counts, 1
    together = torch.stack([sums.double(), counts.double()])
    distributed.all_reduce(together)
    return together[0].to(sums.dtype), together[1].to(counts.dtype), distributed.get_world_size()
