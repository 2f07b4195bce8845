"""The gradient of every actor's score with respect to its own clip, and refusals to take any other for it."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from stal.errors import PenaltyError


def input_gradients(
    scores: Float[Tensor, " A"],
    clips: Float[Tensor, "B C T H W"],
    clip_index: Int64[Tensor, " A"],
    *,
    create_graph: bool = True,
) -> Iterator[tuple[Int64[Tensor, " _"], Float[Tensor, "_ C T H W"]]]:
    """Take the gradient of each score with respect to the clip that it was computed from, each exactly its own.

    Scores of different clips share a backward pass, which is exact only if the network treats the clips of a batch
    independently (no batch statistics). Scores of one clip get a pass each, since the gradient of a sum of two scores
    cannot be taken apart: first the first actor of every clip, then the second, and so on.

    Args:
        scores: one of each actor.
        clips: the leaf tensor that they were computed from, in the units that the network sees.
        clip_index: the clip of each actor.
        create_graph: whether the gradients can be differentiated again.

    Yields:
        For each pass its actors, and their gradients; in float32, also under autocast, or float64 for float64 clips.

    Raises:
        PenaltyError: the gradient would not be with respect to the input clip.
    """
    passes = _passes(clip_index)
    if passes:  # without actors nothing is differentiated, and clips need not be a leaf
        _check_leaf(clips)
    for rows in passes:
        with torch.autocast(clips.device.type, enabled=False):
            (gradient,) = torch.autograd.grad(
                _at_least_float32(scores[rows]).sum(),
                clips,
                retain_graph=True,
                create_graph=create_graph,
                allow_unused=True,
            )
        if gradient is None:
            raise PenaltyError(
                "the scores do not depend on `clips`: pass the very tensor that went through the network, before "
                "any copy, detach or in-place change (pytorchvideo overwrites the list of pathways it is given)"
            )
        yield rows, _at_least_float32(gradient[clip_index[rows]])


def check_reaches_weights(penalty: Float[Tensor, " A"], clips: Float[Tensor, "B C T H W"]) -> None:
    """Raise a PenaltyError unless a leaf other than `clips` would get a gradient of `penalty`."""
    nodes, seen = [penalty.grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)  # only the nodes that accumulate a leaf's gradient have it
        if leaf is not None and leaf is not clips:
            return
        nodes.extend(parent for parent, _ in node.next_functions)
    raise PenaltyError(
        "the penalty does not reach the weights: it depends on nothing that is trained (are "
        "all weights frozen, or is an operation in the network not twice differentiable?)"
    )


def _at_least_float32(values: Tensor) -> Tensor:
    """Return `values` in float32, or as they are if they are of higher precision."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _passes(clip_index: Int64[Tensor, " A"]) -> list[Int64[Tensor, " _"]]:
    """Return the actors of each backward pass: first the first actor of every clip, then the second, and so on."""
    same_clip = clip_index[:, None] == clip_index[None]
    rank = same_clip.tril(diagonal=-1).sum(1)
    num_passes = int(rank.max()) + 1 if len(rank) else 0
    return [(rank == r).nonzero().squeeze(1) for r in range(num_passes)]


def _check_leaf(clips: Tensor) -> None:
    """Raise unless a gradient with respect to `clips` is one with respect to the input of the network."""
    if not torch.is_grad_enabled():
        raise PenaltyError("the penalty needs gradients, but they are switched off here (torch.no_grad)")
    if not clips.requires_grad or not clips.is_leaf:
        raise PenaltyError(
            "`clips` must be the input itself, a leaf that required a gradient before the forward pass; this tensor "
            + ("was computed from something else" if not clips.is_leaf else "does not require a gradient")
        )
