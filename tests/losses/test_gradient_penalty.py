"""Every form of the penalty is what it says, in value and in parameter gradient, with its schedule and its log."""

import dataclasses

import pytest
import torch
from torch import nn

from stal.errors import ConfigError, PenaltyError
from stal.losses.gradient_energy import energy_of, gradient_energy
from stal.losses.gradient_penalty import GradientPenalty
from stal.losses.scored_actors import ScoredActors

NO_ACTORS = torch.zeros(0, dtype=torch.int64)
FORMS = [
    {},
    {"target": "log_probability"},
    {"target": "sum_log_probability"},
    {"target": "random_signs"},
    {"squared": "time"},
    {"squared": "block", "blocks": (2, 2, 3)},
    {"squared": "block", "blocks": (1, 2, 2), "target": "random_signs", "reduction": "sum"},
    {"squared": "ratio"},
    {"squared": "ratio", "blocks": (2, 1, 2), "target": "sum_log_probability"},
    {"reduction": "sum"},
    {"subset": "one_actor"},
    {"subset": 0.5, "squared": "time"},
    {"subset": 0.5, "target": "random_signs"},
]


def told(network, scored, clip_index=(0, 0, 2), clips=None, **changes) -> ScoredActors:
    """Return actors in three clips that are a leaf, and how to score them again."""
    actors = scored(network, clip_index=clip_index)
    clips = (actors.clips if clips is None else clips).detach().requires_grad_()
    index = actors.clip_index

    def score(clips, frames=None, rows=None):
        return network(clips)[index if rows is None else index[rows].unique(return_inverse=True)[1]]

    return dataclasses.replace(actors, clips=clips, logits=network(clips)[index], score=score, **changes)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def loss(penalty, actors, step=0, seed=0) -> float:
    return penalty(actors, step=step, generator=generator(seed))["loss_pgg"].item()


def own_gradients(actors: ScoredActors) -> torch.Tensor:
    """Return the gradient of each actor's own logit with respect to its clip, one actor after the other."""
    return torch.stack(
        [
            torch.autograd.grad(logit, actors.clips, retain_graph=True)[0][clip]
            for logit, clip in zip(actors.own_logits(), actors.clip_index, strict=True)
        ]
    )


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_the_parameter_gradient_of_every_form_is_exact(form, scored, scorer, check_parameter_gradient):
    penalty = GradientPenalty(0.7, **form)

    def value():
        return penalty(told(scorer, scored), step=0, generator=generator())["loss_pgg"]

    check_parameter_gradient(value, list(scorer.parameters()))


def test_the_papers_form_is_the_sum_over_actors_and_voxels_averaged_over_clips(scored, scorer):
    actors = told(scorer, scored)
    by_hand = (own_gradients(actors) * ~actors.masks[:, None]).square().sum()
    assert loss(GradientPenalty(0.3, reduction="sum"), actors) == pytest.approx(0.3 * by_hand.item() / 3)


def test_by_default_the_penalty_is_a_mean_over_actors_of_clips_of_unit_volume(scored, scorer):
    actors = told(scorer, scored)
    by_hand = (own_gradients(actors) * ~actors.masks[:, None]).square().sum()
    assert loss(GradientPenalty(0.3), actors) == pytest.approx(0.3 * by_hand.item() / 3 * (2 * 3 * 4))


def test_time_is_averaged_before_squaring_over_the_frames_that_are_not_the_actors(scored, linear_scorer):
    actors = told(linear_scorer, scored)
    gradients, outside = own_gradients(actors), ~actors.masks[:, None]
    num_frames = outside.sum(2).clamp(min=1)
    means = (gradients * outside).sum(2) / num_frames
    by_hand = (means.square() * num_frames).sum() / 3 * (2 * 3 * 4)
    assert loss(GradientPenalty(1.0, squared="time"), actors) == pytest.approx(by_hand.item())


def test_blocks_are_those_of_the_energy(scored, scorer):
    actors = told(scorer, scored)
    by_hand = energy_of(own_gradients(actors), actors.masks, (2, 2, 3)).outside.mean().item()
    assert loss(GradientPenalty(1.0, squared="block", blocks=(2, 2, 3)), actors) == pytest.approx(by_hand)
    by_time = loss(GradientPenalty(1.0, squared="time"), actors)
    assert loss(GradientPenalty(1.0, squared="block", blocks=(2, 1, 1)), actors) == pytest.approx(by_time)


def test_the_ratio_is_the_part_of_the_energy_that_is_outside(scored, scorer):
    actors = told(scorer, scored)
    outside, inside = energy_of(own_gradients(actors), actors.masks)
    expected = (outside / (outside + inside)).mean().item()
    assert loss(GradientPenalty(1.0, squared="ratio"), actors) == pytest.approx(expected, rel=1e-5)


def test_the_ratio_does_not_change_when_all_logits_are_larger(scored, scorer):
    small = loss(GradientPenalty(1.0, squared="ratio"), told(scorer, scored))
    with torch.no_grad():
        scorer.logits *= 10
    assert loss(GradientPenalty(1.0, squared="ratio"), told(scorer, scored)) == pytest.approx(small, rel=1e-5)


@pytest.mark.parametrize(("everywhere", "ratio"), [(True, 0), (False, 1)])
def test_a_gradient_on_one_side_only_has_a_ratio_of_0_or_1(everywhere, ratio, scored, scorer):
    masks = torch.full((3, 2, 3, 4), everywhere)
    assert loss(GradientPenalty(1.0, squared="ratio"), told(scorer, scored, masks=masks)) == pytest.approx(
        ratio, abs=1e-5
    )


def test_over_all_signs_the_mean_penalty_is_the_sum_over_classes(scored, scorer):
    actors = told(scorer, scored, clip_index=(1,))
    found = set()
    for seed in range(100):
        found.add(round(loss(GradientPenalty(1.0, target="random_signs"), actors, seed=seed), 9))
    assert len(found) == 4  # of 8 sign vectors, as s and -s are one
    of_classes = [
        gradient_energy(actors.logits[:, k], actors.clips, actors.masks, actors.clip_index).outside.item()
        for k in range(3)
    ]
    assert sum(found) / 4 == pytest.approx(sum(of_classes))


def test_actors_draw_their_signs_independently(scored, scorer):
    actors = told(scorer, scored, clip_index=(0, 0))
    found = {loss(GradientPenalty(1.0, target="random_signs"), actors, seed=seed) for seed in range(200)}
    assert len({round(value, 9) for value in found}) == 4 * 4


@pytest.mark.parametrize(("subset", "num_draws"), [("one_actor", 2 * 3), (0.5, 3)])
@pytest.mark.parametrize("form", [{}, {"squared": "ratio"}, {"estimator": "finite_difference"}], ids=str)
def test_over_all_subsets_the_mean_penalty_and_its_gradient_are_those_of_all_actors(
    subset, num_draws, form, scored, scorer
):
    """With one actor a clip of 2, 3 and 1, and with two clips of three."""
    actors = told(scorer, scored, clip_index=(0, 1, 1, 0, 1, 2))

    def of_all_losses(penalty, seed=0):
        losses = penalty(actors, step=0, generator=generator(seed))
        gradients = torch.autograd.grad(losses["loss_pgg"], list(scorer.parameters()), retain_graph=True)
        logged = [losses["loss_pgg"], losses["pgg_energy_outside"], losses["pgg_energy_inside"]]
        return torch.cat([torch.stack(logged).detach(), *[gradient.flatten() for gradient in gradients]])

    penalty = GradientPenalty(1.0, subset=subset, **form)
    draws = {}
    for seed in range(60):
        values = of_all_losses(penalty, seed)
        draws[round(values[0].item(), 9)] = values
    assert len(draws) == num_draws
    mean = torch.stack(list(draws.values())).mean(0)
    torch.testing.assert_close(mean, of_all_losses(GradientPenalty(1.0, **form)), rtol=1e-6, atol=1e-9)


def test_a_share_of_the_clips_is_scored_alone_and_needs_no_leaf(scored, scorer):
    actors = told(scorer, scored)
    asked = []

    def score(clips, rows=None):
        asked.append((clips.shape[0], clips.dtype, rows.tolist()))
        return actors.score(clips, rows=rows)

    constant = dataclasses.replace(actors, clips=actors.clips.detach(), score=score)
    penalty = GradientPenalty(1.0, subset=0.5)
    assert not penalty.needs_input_gradient
    assert GradientPenalty(1.0).needs_input_gradient and GradientPenalty(1.0, subset="one_actor").needs_input_gradient
    assert loss(penalty, constant) > 0
    assert asked == [(1, torch.float64, [2])] or asked == [(1, torch.float64, [0, 1])]
    with pytest.raises(PenaltyError, match="`score`"):
        loss(penalty, dataclasses.replace(constant, score=None))


def test_a_share_of_the_clips_is_scored_in_full_precision():
    network = nn.Conv3d(3, 2, (1, 4, 4))
    index = torch.arange(2)

    def score(clips, rows=None):
        return network(clips).mean((2, 3, 4))[index if rows is None else index[: len(clips)]]

    clips = torch.randn(2, 3, 2, 4, 4)
    masks = torch.zeros(2, 2, 4, 4, dtype=torch.bool)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actors = ScoredActors(score(clips), index, clips, index, masks, score=score)
        assert actors.logits.dtype == torch.bfloat16
        alone = actors.alone(torch.tensor([1]))
        losses = GradientPenalty(1.0, subset=0.5)(actors, step=0, generator=generator())
    assert alone.logits.dtype == losses["loss_pgg"].dtype == torch.float32
    losses["loss_pgg"].backward()
    assert network.weight.grad.dtype == torch.float32 and network.weight.grad.any()


@pytest.mark.parametrize("rows", [(0, 1, 2, 3), (2,), (0, 3), (1, 2)])
def test_actors_alone_are_themselves_in_fewer_clips(rows, scored, scorer):
    actors = told(scorer, scored, clip_index=(2, 0, 2, 2), label_weights=torch.rand(4), scenes=torch.arange(4))
    rows = torch.tensor(rows)
    alone = actors.alone(rows)
    assert alone.clips.is_leaf and alone.clips.requires_grad
    assert len(alone.clips) == len(actors.clip_index[rows].unique())
    assert alone.clips[alone.clip_index].equal(actors.clips[actors.clip_index[rows]])
    torch.testing.assert_close(alone.logits, actors.logits[rows])
    for name in ("labels", "masks", "label_weights", "scenes"):
        assert getattr(alone, name).equal(getattr(actors, name)[rows])
    torch.testing.assert_close(alone.rescored(2 * alone.clips), actors.rescored(2 * actors.clips)[rows])


def test_penalty_does_not_change_with_the_batch_size(scored, scorer):
    clips = torch.randn(1, 3, 2, 3, 4, generator=generator(), dtype=torch.float64)
    mask = torch.rand(1, 2, 3, 4, generator=generator()) < 0.4
    for reduction in ("mean", "sum"):
        penalty = GradientPenalty(1.0, reduction=reduction)
        values = []
        for size in (1, 5):
            batch = clips.repeat(size, 1, 1, 1, 1).requires_grad_()
            index, masks = torch.arange(size), mask.repeat(size, 1, 1, 1)
            values.append(loss(penalty, ScoredActors(scorer(batch), 0 * index, batch, index, masks)))
        assert values[0] == pytest.approx(values[1])


@pytest.mark.parametrize(
    "form",
    [*FORMS, {"estimator": "finite_difference"}, {"estimator": "finite_difference", "subset": 0.5}],
    ids=str,
)
def test_a_batch_without_actors_has_no_penalty(form, scored, scorer):
    penalty = GradientPenalty(1.0, **form)
    actors = told(scorer, scored, clip_index=())
    if not penalty.needs_input_gradient:
        actors = dataclasses.replace(actors, clips=actors.clips.detach())
    losses = penalty(actors, step=0, generator=generator())
    names = {"loss_pgg", "pgg_energy_outside", "pgg_energy_inside", "pgg_inside_share"}
    assert set(losses) == names | ({"pgg_slope_error"} if "estimator" in form else set())
    assert all(value.item() == 0 for value in losses.values())


@pytest.mark.parametrize("form", [*FORMS, {"estimator": "finite_difference"}], ids=str)
def test_energies_and_their_share_are_logged_without_a_graph(form, scored, scorer):
    losses = GradientPenalty(0.3, **form)(told(scorer, scored), step=0, generator=generator())
    outside, inside = losses["pgg_energy_outside"].item(), losses["pgg_energy_inside"].item()
    assert losses["pgg_inside_share"].item() == pytest.approx(inside / (outside + inside))
    assert {name for name, value in losses.items() if value.requires_grad} == {"loss_pgg"}
    if form.get("squared") != "ratio":
        assert losses["loss_pgg"].item() == pytest.approx(0.3 * outside)


@pytest.mark.parametrize("squared", ["voxel", "time"])
@pytest.mark.parametrize("target", ["logit", "random_signs"])
def test_the_finite_difference_has_the_exact_value_and_nearly_the_gradient(target, squared, scored, scorer):
    actors, found = told(scorer, scored), []
    for form in ({}, {"estimator": "finite_difference", "difference_step": 1e-4}):
        losses = GradientPenalty(0.5, target=target, squared=squared, **form)(actors, step=0, generator=generator())
        gradients = torch.autograd.grad(losses["loss_pgg"], list(scorer.parameters()), retain_graph=True)
        found.append((losses["loss_pgg"].detach(), *gradients))
    for exact, estimated in zip(*found, strict=True):
        torch.testing.assert_close(estimated, exact, rtol=1e-3, atol=1e-3)
    assert 0 < losses["pgg_slope_error"] < 1e-4


def test_the_finite_difference_needs_a_detector_that_can_be_asked(scored, scorer):
    actors = dataclasses.replace(told(scorer, scored), score=None)
    with pytest.raises(PenaltyError, match="`score`"):
        loss(GradientPenalty(1.0, estimator="finite_difference"), actors)


def test_the_penalty_follows_its_schedule(scored, scorer):
    actors = told(scorer, scored)
    whole = loss(GradientPenalty(0.4), actors)
    penalty = GradientPenalty(0.4, interval=4, warmup_steps=16, start_step=8)
    assert [step for step in range(17) if penalty.schedule.is_due(step)] == [8, 12, 16]
    for step, part in ((8, 1 / 16), (12, 5 / 16), (16, 9 / 16), (24, 1), (400, 1)):
        assert loss(penalty, actors, step) == pytest.approx(4 * part * whole)


def test_the_same_generator_gives_the_same_penalty(scored, scorer):
    actors = told(scorer, scored, clip_index=(0, 0, 1, 2, 2, 2))
    for form in ({"target": "random_signs"}, {"subset": "one_actor"}, {"subset": 0.4}):
        penalty = GradientPenalty(1.0, **form)
        assert loss(penalty, actors, seed=1) == loss(penalty, actors, seed=1)
        assert len({loss(penalty, actors, seed=seed) for seed in range(10)}) > 1


def test_refuses_clips_that_are_not_the_input(scored, scorer):
    actors = told(scorer, scored)
    with pytest.raises(PenaltyError, match="do not depend"):
        loss(GradientPenalty(1.0), dataclasses.replace(actors, clips=actors.clips.detach().clone().requires_grad_()))
    with pytest.raises(PenaltyError, match="does not require a gradient"):
        loss(GradientPenalty(1.0), dataclasses.replace(actors, clips=actors.clips.detach()))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"blocks": (1, 2, 2)}, "no meaning with squared = 'voxel'"),
        ({"squared": "time", "blocks": (1, 2, 2)}, "no meaning"),
        ({"squared": "block"}, "needs blocks"),
        ({"squared": "block", "blocks": (1, 2)}, "three sizes"),
        ({"squared": "block", "blocks": (1, 0, 2)}, "three sizes"),
        ({"squared": "ratio", "estimator": "finite_difference"}, "'ratio' goes with"),
        ({"squared": "ratio", "reduction": "sum"}, "'ratio' goes with"),
        ({"estimator": "finite_difference", "difference_step": 0.0}, "difference_step"),
        ({"subset": 0.0}, "subset"),
        ({"subset": 1.0}, "subset"),
        ({"interval": 0}, "Schedule"),
    ],
)
def test_impossible_forms_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        GradientPenalty(1.0, **arguments)


def test_unknown_names_are_refused_with_those_that_are_known():
    from stal.losses.gradient_penalty import Target, _check_choice  # jaxtyping refuses them first while tests run

    with pytest.raises(ConfigError, match="target = 'logits' is none of 'logit', 'log_probability'"):
        _check_choice("target", "logits", Target)


def test_blocks_keep_the_energy_of_a_spread_cue_and_drop_what_cancels():
    """The logit is 3 times the mean of the clip, and as much again of a pattern whose mean is 0."""
    index = torch.zeros(1, dtype=torch.int64)
    clips = torch.randn(1, 1, 4, 4, 4, generator=generator(), dtype=torch.float64).requires_grad_()
    pattern = torch.randn(1, 1, 4, 4, 4, generator=generator(1), dtype=torch.float64)
    pattern = pattern - pattern.mean()
    pattern = 3 * pattern / pattern.square().mean().sqrt()
    logits = nn.Parameter(torch.ones(1, 1, dtype=torch.float64)) * ((3 + pattern) * clips).mean()
    actors = ScoredActors(logits, index, clips, index, torch.zeros(1, 4, 4, 4, dtype=torch.bool))
    assert loss(GradientPenalty(1.0), actors) == pytest.approx(9 + 9)
    assert loss(GradientPenalty(1.0, squared="block", blocks=(4, 4, 4)), actors) == pytest.approx(9)
    assert 9 < loss(GradientPenalty(1.0, squared="time"), actors) < 9 + 9
