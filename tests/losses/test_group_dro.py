"""GroupDRO replaces the mean by the robust loss exactly, and its weights follow the paper's formula."""

import dataclasses

import pytest
import torch

from stal.errors import ConfigError, PenaltyError
from stal.losses.group_dro import GroupDRO
from stal.losses.scored_actors import actor_losses

LABELS = torch.tensor([0, 2, 0])
SCENES = torch.tensor([1, 0, 1])  # groups 1 and 4 of the 6


def run(penalty, actors):
    return penalty(actors, step=0, generator=torch.Generator())


def dro(weight: float = 1.0, **changes) -> GroupDRO:
    return GroupDRO(weight, **({"num_classes": 3, "num_scenes": 2, "step_size": 0.5} | changes))


def test_with_one_group_the_loss_is_the_ordinary_one(scored, scorer):
    actors = scored(scorer, labels=torch.tensor([1, 1, 1]), scenes=torch.tensor([1, 1, 1]))
    assert run(dro(), actors)["loss_group_dro"].item() == pytest.approx(0, abs=1e-12)


def test_the_ordinary_loss_of_the_actors_is_replaced_by_the_robust_one(scored, scorer):
    actors = scored(scorer, labels=LABELS, scenes=SCENES, share=0.25)
    losses = actor_losses(actors.logits, actors.targets)
    penalty = dro()
    total = 0.25 * losses.mean() + run(penalty, actors)["loss_group_dro"]
    q = penalty.group_weights
    expected = 0.25 * (q[1] * losses[[0, 2]].mean() + q[4] * losses[1])
    torch.testing.assert_close(total, expected)
    parameters = list(scorer.parameters())
    found = torch.autograd.grad(total, parameters, retain_graph=True)
    for gradient, closed in zip(found, torch.autograd.grad(expected, parameters), strict=True):
        torch.testing.assert_close(gradient, closed)


def test_parameter_gradient_equals_central_differences(scored, scorer, check_parameter_gradient):
    def loss():  # a fresh one each time, as its weights follow the losses; they are constants to the optimizer
        return run(dro(step_size=0.0), scored(scorer, labels=LABELS, scenes=SCENES))["loss_group_dro"]

    check_parameter_gradient(loss, list(scorer.parameters()))


def test_weights_follow_the_formula_and_sum_to_one(scored, scorer):
    penalty = dro()
    assert not penalty.group_weights.any()
    q = torch.zeros(6, dtype=torch.float64)
    for scenes, new in ((SCENES, [1, 4]), (torch.tensor([1, 1, 1]), [5]), (SCENES, [])):
        actors = scored(scorer, labels=LABELS, scenes=scenes)
        run(penalty, actors)
        q[new] = 1.0  # all groups start alike, and what comes later has not gained yet
        losses = actor_losses(actors.logits, actors.targets).detach()
        groups = LABELS * 2 + scenes
        for group in groups.unique():
            q[group] *= torch.exp(0.5 * losses[groups == group].mean())
        torch.testing.assert_close(penalty.group_weights, q / q.sum())
        assert penalty.group_weights.sum().item() == pytest.approx(1)


def test_the_worst_group_comes_to_count_most(scored, scorer):
    penalty = dro(step_size=5.0)
    actors = scored(scorer, labels=LABELS, scenes=SCENES)
    losses = actor_losses(actors.logits, actors.targets)
    for _ in range(200):
        found = run(penalty, actors)
    worst = max(losses[[0, 2]].mean().item(), losses[1].item())
    assert found["group_dro_worst_loss"].item() == pytest.approx(worst)
    assert found["group_dro_largest_weight"].item() == pytest.approx(1)
    assert found["loss_group_dro"].item() == pytest.approx(worst - losses.mean().item())


def test_a_group_that_lost_all_weight_can_win_it_back():
    penalty = dro(step_size=1.0)
    penalty.seen[:2] = True
    penalty.gains[:2] = torch.tensor([2000.0, 0.0])
    assert penalty.group_weights[1] == 0
    penalty._learn(torch.tensor([0.0, 2000.0, 0, 0, 0, 0]), torch.ones(6))
    assert penalty.group_weights[:2].tolist() == pytest.approx([0.5, 0.5])


def test_actors_of_an_unknown_scene_keep_their_ordinary_loss(scored, scorer):
    actors = scored(scorer, labels=LABELS, scenes=torch.tensor([1, -1, 0]))
    losses = actor_losses(actors.logits, actors.targets)
    penalty = dro()
    total = losses.mean() + run(penalty, actors)["loss_group_dro"]
    q = penalty.group_weights
    torch.testing.assert_close(total, losses[1] / 3 + 2 / 3 * (q[1] * losses[0] + q[0] * losses[2]))


def test_without_actors_the_loss_is_zero_and_the_weights_stay(scored, scorer):
    penalty = dro()
    run(penalty, scored(scorer, labels=LABELS, scenes=SCENES))
    before = penalty.group_weights
    found = run(penalty, scored(scorer, clip_index=()))
    assert found["loss_group_dro"] == 0
    found["loss_group_dro"].backward()
    assert penalty.group_weights.equal(before)


def test_weights_are_saved_with_the_model(scored, scorer):
    penalty, other = dro(), dro()
    run(penalty, scored(scorer, labels=LABELS, scenes=SCENES))
    other.load_state_dict(penalty.state_dict())
    assert other.group_weights.equal(penalty.group_weights) and other.group_weights.any()


@pytest.mark.parametrize(
    ("settings", "changes", "error"),
    [
        ({}, {"scenes": None}, PenaltyError),
        ({"num_scenes": 1}, {}, PenaltyError),
        ({"num_classes": 4}, {}, ConfigError),
    ],
)
def test_a_batch_of_other_groups_is_refused(settings, changes, error, scored, scorer):
    with pytest.raises(error):
        run(dro(**settings), scored(scorer, **({"labels": LABELS, "scenes": SCENES} | changes)))


@pytest.mark.parametrize("changes", [{"num_classes": 0}, {"num_scenes": 0}, {"step_size": -1.0}])
def test_settings_without_meaning_are_refused(changes):
    with pytest.raises(ConfigError):
        dro(**changes)


def test_processes_share_weights_and_their_mean_gradient_is_that_of_one_process(scored, scorer, monkeypatch):
    labels, scenes = torch.tensor([0, 2, 0, 0, 1]), torch.tensor([1, 0, 1, 1, 0])
    clip_index = (0, 1, 1, 2, 2)
    parts = [slice(0, 2), slice(2, 5)]

    def gradient(penalty, rows=slice(None)):
        whole = scored(scorer, clip_index=clip_index, labels=labels, scenes=scenes)
        names = ("logits", "features", "labels", "clip_index", "masks", "scenes")
        actors = dataclasses.replace(whole, **{name: getattr(whole, name)[rows] for name in names})
        loss = actor_losses(actors.logits, actors.targets).mean() + run(penalty, actors)["loss_group_dro"]
        return torch.autograd.grad(loss, scorer.logits)[0]

    alone = dro()
    expected = gradient(alone)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    sent = []
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda values: sent.append(values.clone()))
    for rows in parts:
        gradient(dro(), rows)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda values: values.copy_(sent[0] + sent[1]))
    penalties = [dro(), dro()]
    found = [gradient(penalty, rows) for penalty, rows in zip(penalties, parts, strict=True)]
    torch.testing.assert_close((found[0] + found[1]) / 2, expected)
    for penalty in penalties:
        torch.testing.assert_close(penalty.group_weights, alone.group_weights)
