"""Take a penalty of some of the actors only, drawn so that it is that of all on average."""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

Subset = Literal["all", "one_actor"] | float


class DrawnActors(NamedTuple):
    """Some actors of a batch.

    Attributes:
        rows: (S,) which ones, in ascending order.
        weights: (S,) one over the probability that the actor is drawn: a sum over the drawn actors of weight times
            value is the sum over all actors of value, on average.
    """

    rows: Int64[Tensor, " S"]
    weights: Float[Tensor, " S"]


def draw_actors(clip_index: Int64[Tensor, " A"], subset: Subset, generator: torch.Generator) -> DrawnActors:
    """Draw actors.

    Args:
        clip_index: the clip of each actor.
        subset: `all`; `one_actor` of each clip that has any; or a number, this share of the clips that have any
            (rounded, and at least one), with all their actors.
        generator: on the CPU.
    """
    if subset == "all" or len(clip_index) == 0:
        rows = torch.arange(len(clip_index), device=clip_index.device)
        return DrawnActors(rows, torch.ones_like(rows, dtype=torch.float32))
    if subset == "one_actor":
        places = torch.rand(len(clip_index), generator=generator).to(clip_index.device)
        same_clip = clip_index[:, None] == clip_index[None]
        rows = torch.where(same_clip, places, -1.0).argmax(1).unique()
        return DrawnActors(rows, same_clip.sum(1)[rows].float())
    clips = clip_index.unique()
    num_drawn = max(1, round(subset * len(clips)))
    drawn = torch.randperm(len(clips), generator=generator)[:num_drawn].to(clips.device)
    rows = torch.isin(clip_index, clips[drawn]).nonzero().squeeze(1)
    return DrawnActors(rows, torch.full_like(rows, len(clips) / num_drawn, dtype=torch.float32))
