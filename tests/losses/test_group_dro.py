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
    q, times_seen = torch.zeros(6, dtype=torch.float64), torch.zeros(6)
    for batch, (scenes, new) in enumerate(((SCENES, [1, 4]), (torch.tensor([1, 1, 1]), [5]), (SCENES, [])), start=1):
        actors = scored(scorer, labels=LABELS, scenes=scenes)
        run(penalty, actors)
        q[new] = 1.0  # all groups start alike, and what comes later has not gained yet
        losses = actor_losses(actors.logits, actors.targets).detach()
        groups = LABELS * 2 + scenes
        for group in groups.unique():
            times_seen[group] += 1
            q[group] *= torch.exp(0.5 * losses[groups == group].mean() / (times_seen[group] / batch))
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
    penalty.times_seen += 1
    penalty.num_batches += 1
    penalty.gains[:2] = torch.tensor([2000.0, 0.0])
    assert penalty.group_weights[1] == 0
    penalty._learn(torch.tensor([0.0, 2000.0, 0, 0, 0, 0]), torch.ones(6, dtype=torch.bool))
    assert penalty.group_weights[:2].tolist() == pytest.approx([0.5, 0.5])


def batch_of_groups(scored, scorer, losses):
    """Return an actor of each group, of the loss that is given; groups are numbered as the weights are."""
    groups = torch.tensor(list(losses))
    actors = scored(scorer, clip_index=(0,) * len(groups), labels=groups // 2, scenes=groups % 2)
    own = -torch.tensor(list(losses.values()), dtype=torch.float64).expm1().log()  # softplus(-own) is the loss
    logits = torch.full((len(groups), 3), -100.0, dtype=torch.float64)
    return dataclasses.replace(actors, logits=logits.scatter(1, actors.labels[:, None], own[:, None]))


def test_a_rare_group_overtakes_a_frequent_one_that_has_less_loss(scored, scorer):
    penalty = dro(step_size=0.01)
    for step in range(200):
        run(penalty, batch_of_groups(scored, scorer, {0: 1.0, 3: 2.0} if step % 10 == 9 else {0: 1.0}))
    q = penalty.group_weights
    gains = penalty.gains[3] - penalty.gains[0]
    assert q[3] > 0.8 and gains == pytest.approx(0.01 * 200 * (2.0 - 1.0), rel=0.01)


def test_over_random_batches_the_weights_grow_by_the_loss_and_not_by_how_often_a_group_is_seen(scored, scorer):
    losses = {0: 1.0, 1: 1.0, 3: 1.5, 4: 0.5}
    often = torch.tensor([0.9, 0.2, 0.1, 0.5])
    draws = torch.rand(3000, 4, generator=torch.Generator().manual_seed(0)) < often
    penalty = dro(step_size=0.01)
    for draw in draws:
        if draw.any():
            present = {group: loss for (group, loss), here in zip(losses.items(), draw, strict=True) if here}
            run(penalty, batch_of_groups(scored, scorer, present))
    gains = penalty.gains[list(losses)] / 0.01 / int(penalty.num_batches)
    assert gains.tolist() == pytest.approx(list(losses.values()), rel=0.05)


def test_the_robust_loss_is_a_mean_over_the_groups_of_the_batch(scored, scorer):
    penalty = dro(step_size=0.0)
    for losses in ({0: 1.0, 3: 2.0, 5: 4.0}, {0: 1.0}, {0: 1.0}):
        found = run(penalty, batch_of_groups(scored, scorer, losses))["loss_group_dro"].item()
        mean = sum(losses.values()) / len(losses)
        assert found == pytest.approx(7 / 3 - mean) if len(losses) == 3 else found == pytest.approx(0)
    found = run(penalty, batch_of_groups(scored, scorer, {0: 1.0, 3: 2.0}))["loss_group_dro"].item()
    # All have q = 1/3; group 0 was in 4 batches of 4, group 3 in 2.
    assert found == pytest.approx((1.0 / 1 + 2.0 / 0.5) / (1 / 1 + 1 / 0.5) - 1.5)


def test_a_batch_of_groups_that_lost_all_weight_has_their_ordinary_loss(scored, scorer):
    penalty = dro(step_size=0.0)
    run(penalty, batch_of_groups(scored, scorer, {0: 1.0, 3: 2.0}))
    penalty.gains[0] = 5000.0
    assert penalty.group_weights[3] == 0
    assert run(penalty, batch_of_groups(scored, scorer, {3: 2.0}))["loss_group_dro"].item() == pytest.approx(0)


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


def test_over_processes_of_unequal_shares_the_known_actors_keep_their_weight(scored, scorer, monkeypatch):
    """The detector's loss of two processes is the mean of theirs; what it has of known actors becomes robust."""
    labels, scenes = torch.tensor([0, 2, 0, 0, 1]), torch.tensor([1, 0, 1, -1, 0])
    clip_index, parts, shares = (0, 1, 1, 2, 2), [slice(0, 2), slice(2, 5)], [0.25, 0.6]
    whole = scored(scorer, clip_index=clip_index, labels=labels, scenes=scenes)
    losses = actor_losses(whole.logits, whole.targets)
    names = ("logits", "features", "labels", "clip_index", "masks", "scenes")
    actors = [
        dataclasses.replace(whole, share=share, **{name: getattr(whole, name)[rows] for name in names})
        for rows, share in zip(parts, shares, strict=True)
    ]
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    sent = []
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda values: sent.append(values.clone()))
    for part in actors:
        run(dro(), part)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda values: values.copy_(sent[0] + sent[1]))
    penalty = dro()
    found = [run(penalty, actors[0])["loss_group_dro"], run(dro(), actors[1])["loss_group_dro"]]
    ordinary = [share * losses[rows].mean() for rows, share in zip(parts, shares, strict=True)]
    q = penalty.group_weights
    robust = q[1] * losses[[0, 2]].mean() + q[4] * losses[1] + q[2] * losses[4]
    known = (0.25 * 2 / 2 + 0.6 * 2 / 3) / 2
    expected = known * robust + 0.6 * losses[3] / 3 / 2
    total = (sum(found) + sum(ordinary)) / 2
    torch.testing.assert_close(total, expected)
    gradients = [torch.autograd.grad(value, scorer.logits, retain_graph=True)[0] for value in (total, expected)]
    torch.testing.assert_close(*gradients)
