"""Every actor gets the gradient of its own score, with respect to the clip itself, or an error."""

import pytest
import torch
from torch import nn

from stal.errors import PenaltyError
from stal.losses.input_gradients import check_reaches_weights, input_gradients

FIRST = torch.zeros(1, dtype=torch.int64)


def gradients_of(scores, clips, clip_index, **options):
    """Return the gradients of all actors in their order, and the number of passes that they took."""
    found = list(input_gradients(scores, clips, torch.tensor(clip_index, dtype=torch.int64), **options))
    if not found:
        return None, 0
    rows = torch.cat([rows for rows, _ in found])
    return torch.cat([gradients for _, gradients in found])[rows.argsort()], len(found)


def leaf() -> torch.Tensor:
    return torch.randn(3, 3, 2, 3, 4, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize(
    ("clip_index", "passes"),
    [((), 0), ((1,), 1), ((0, 1, 2), 1), ((2, 0), 1), ((1, 1, 1), 3), ((0, 2, 0), 2), ((2, 2, 0, 1, 0, 2), 3)],
)
def test_actors_of_one_clip_get_each_its_own_gradient(scorer, clip_index, passes):
    clips = leaf()
    rows, classes = torch.tensor(clip_index, dtype=torch.int64), torch.arange(len(clip_index)) % 3
    gradients, taken = gradients_of(scorer(clips)[rows, classes], clips, clip_index)
    assert taken == passes
    for actor, (clip, k) in enumerate(zip(clip_index, classes.tolist(), strict=True)):
        alone = clips[clip : clip + 1].detach().requires_grad_()
        scorer(alone)[0, k].backward()
        torch.testing.assert_close(gradients[actor], alone.grad[0])


def test_gradients_can_be_differentiated_again_only_if_asked(scorer):
    clips = leaf()
    for create_graph in (True, False):
        gradients, _ = gradients_of(scorer(clips)[:1, 0], clips, (0,), create_graph=create_graph)
        assert gradients.requires_grad == create_graph


def test_gradients_are_in_float32_under_autocast():
    clips = torch.randn(1, 3, 2, 4, 4, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = nn.Conv3d(3, 1, 1)(clips).mean((1, 2, 3, 4))
        assert scores.dtype == torch.bfloat16
        gradients, _ = gradients_of(scores, clips, (0,))
    assert gradients.dtype == torch.float32


def test_refuses_clips_that_are_not_the_input_leaf(scorer):
    stem = leaf() * 2  # what pytorchvideo leaves in the list of pathways
    with pytest.raises(PenaltyError, match="computed from something else"):
        gradients_of(scorer(stem)[:1, 0], stem, (0,))


def test_refuses_clips_that_the_scores_do_not_depend_on(scorer):
    clips = leaf()
    with pytest.raises(PenaltyError, match="do not depend"):
        gradients_of(scorer(leaf())[:1, 0], clips, (0,))


def test_refuses_clips_without_gradient(scorer):
    clips = leaf().detach()
    with pytest.raises(PenaltyError, match="does not require a gradient"):
        gradients_of(scorer(clips)[:1, 0], clips, (0,))


def test_refuses_to_run_without_gradients(scorer):
    clips = leaf()
    with torch.no_grad(), pytest.raises(PenaltyError, match="switched off"):
        gradients_of(scorer(clips)[:1, 0], clips, (0,))


@pytest.mark.parametrize("linear", [False, True])
def test_refuses_a_penalty_that_does_not_reach_the_weights(scorer, linear_scorer, linear):
    clips, network = leaf(), linear_scorer if linear else scorer
    gradients, _ = gradients_of(network(clips)[:1, 0], clips, (0,))
    check_reaches_weights(gradients.square().sum((1, 2, 3, 4)), clips)
    gradients, _ = gradients_of(network.requires_grad_(False)(clips)[:1, 0], clips, (0,))
    with pytest.raises(PenaltyError, match="does not reach the weights"):
        check_reaches_weights(gradients.square().sum((1, 2, 3, 4)), clips)
