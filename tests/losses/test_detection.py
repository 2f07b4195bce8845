"""Which proposals the RoI head is trained on, and its losses."""

import math

import pytest
import torch
from torch.nn import functional as F

from stal.losses.detection import box_loss, classification_loss, presence_loss, sample_rois

ACTORS = torch.tensor([[0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 30.0, 10.0]])
HERE = torch.tensor([True, True])


def sample(proposals, actors=ACTORS, present=HERE, **changes):
    torch.manual_seed(0)
    arguments = {"num_samples": 8, "positive_fraction": 0.5, "positive_iou": 0.5, **changes}
    return sample_rois(proposals, actors, present, **arguments)


def test_actors_join_the_proposals():
    samples = sample(torch.zeros(0, 4))
    assert sorted(samples.actors.tolist()) == [0, 1]
    assert sorted(samples.boxes[:, 0].tolist()) == [0, 20]


def test_a_proposal_shows_the_actor_that_it_overlaps_most_from_the_threshold_on():
    half = torch.tensor([[0.0, 0.0, 10.0, 5.0]])  # IoU 0.5 with actor 0
    less = torch.tensor([[0.0, 0.0, 10.0, 4.9]])
    for proposal, actor in ((half, 0), (less, -1)):
        samples = sample(proposal)
        row = (samples.boxes == proposal).all(1).nonzero().item()
        assert samples.actors[row] == actor


def test_an_actor_that_is_not_on_the_keyframe_takes_no_part():
    samples = sample(ACTORS, present=torch.tensor([True, False]))
    assert set(samples.actors.tolist()) == {0, -1}
    assert len(samples.boxes) == 3


def test_without_actors_all_samples_are_background():
    samples = sample(torch.rand(20, 4), actors=torch.zeros(0, 4), present=torch.zeros(0, dtype=torch.bool))
    assert samples.actors.tolist() == [-1] * 8


def test_without_actors_and_proposals_there_are_no_samples():
    samples = sample(torch.zeros(0, 4), actors=torch.zeros(0, 4), present=torch.zeros(0, dtype=torch.bool))
    assert samples.boxes.shape == (0, 4)
    assert samples.actors.shape == (0,)


def test_samples_hold_no_more_actors_than_their_share():
    proposals = torch.cat([ACTORS[:1].expand(20, 4), torch.tensor([[50.0, 50.0, 60.0, 60.0]]).expand(20, 4)])
    samples = sample(proposals)
    assert len(samples.boxes) == 8
    assert (samples.actors >= 0).sum() == 4


def test_background_is_no_class_at_all():
    logits = torch.tensor([[0.0, 0.0], [3.0, -2.0]])
    loss = classification_loss(logits, torch.tensor([-1, 0]))

    def softplus(x):
        return math.log1p(math.exp(x))

    expected = (softplus(0) + softplus(0) + softplus(-3) + softplus(-2)) / 2
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_a_label_weight_is_the_target_of_the_tubelets_own_class():
    logits = torch.tensor([[0.5, -1.0], [3.0, -2.0], [1.0, 2.0]])
    labels, weights = torch.tensor([1, -1, 0]), torch.tensor([0.25, 0.6, 0.0])
    targets = torch.tensor([[0.0, 0.25], [0.0, 0.0], [0.0, 0.0]])  # background has no class to weigh
    by_hand = (F.softplus(logits) - targets * logits).sum() / 3
    torch.testing.assert_close(classification_loss(logits, labels, weights), by_hand)


def test_label_weights_of_one_change_nothing():
    logits, labels = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([2, -1, 0, 0])
    weighted = classification_loss(logits, labels, torch.ones(4))
    torch.testing.assert_close(weighted, classification_loss(logits, labels))


def test_frames_without_a_box_take_no_part_in_the_box_loss():
    deltas = torch.tensor([[[2.0, 0, 0, 0], [100.0, 0, 0, 0]]])
    valid = torch.tensor([[True, False]])
    assert box_loss(deltas, torch.zeros(1, 2, 4), valid).item() == pytest.approx(1.5)


def test_losses_of_nothing_are_zero_and_differentiable():
    none = torch.zeros(0, 2, requires_grad=True)
    losses = [
        box_loss(torch.zeros(0, 2, 4), torch.zeros(0, 2, 4), torch.zeros(0, 2, dtype=torch.bool)),
        presence_loss(none, torch.zeros(0, 2, dtype=torch.bool)),
        classification_loss(none, torch.zeros(0, dtype=torch.int64)),
    ]
    assert [loss.item() for loss in losses] == [0, 0, 0]


def test_presence_is_learned_from_the_frames_with_a_box():
    logits = torch.tensor([[5.0, -5.0]])
    right = presence_loss(logits, torch.tensor([[True, False]])).item()
    wrong = presence_loss(logits, torch.tensor([[False, True]])).item()
    assert right == pytest.approx(math.log1p(math.exp(-5)), rel=1e-5)
    assert wrong == pytest.approx(math.log1p(math.exp(5)), rel=1e-5)
