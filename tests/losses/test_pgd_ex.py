"""The perturbation stays outside the actors, raises the loss, and is a constant to the optimizer."""

import pytest
import torch
from torch.nn import functional as F

from stal.errors import ConfigError, PenaltyError
from stal.losses.pgd_ex import PGDEx


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def recorded(penalty, scored, scorer):
    """Return the losses of a penalty, and the change of the clips that its last scores were taken on."""
    asked = []
    actors = scored(scorer, score=lambda clips: (asked.append(clips.detach()), scorer(clips)[actors.clip_index])[1])
    return penalty(actors, step=0, generator=generator()), asked[-1] - actors.clips, actors


@pytest.mark.parametrize("kind", ["pgd", "noise"])
def test_only_voxels_that_are_no_actors_change(kind, scored, scorer):
    _, change, actors = recorded(PGDEx(1.0, kind=kind), scored, scorer)
    outside = torch.stack([~actors.masks[:2].any(0), torch.ones_like(actors.masks[0]), ~actors.masks[2]])
    assert (change[:, 0] != 0)[0].equal(outside[0]) and (change[:, 0] != 0)[2].equal(outside[2])
    if kind == "pgd":
        assert not change[1].any()  # no actor's score depends on that clip
        assert change.abs().max() <= 0.3 + 1e-12


def test_one_adversarial_step_is_the_sign_of_the_losses_gradient(scored, linear_scorer):
    losses, change, actors = recorded(PGDEx(0.7, radius=0.2, num_steps=1), scored, linear_scorer)
    weights = torch.einsum("kf,fcthw->kcthw", linear_scorer.logits, linear_scorer.features)
    targets = F.one_hot(actors.labels, 3)
    expected = torch.zeros_like(actors.clips)
    for actor, clip in enumerate(actors.clip_index.tolist()):
        expected[clip] += torch.einsum("k,kcthw->cthw", actors.logits[actor].sigmoid() - targets[actor], weights)
    expected = 0.2 * expected.sign() * ~actors.clip_masks()[:, None]
    torch.testing.assert_close(change, expected.detach())
    logits = linear_scorer(actors.clips + change)[actors.clip_index]
    by_hand = (F.softplus(logits).sum() - (logits * targets).sum()) / 3
    assert losses["loss_pgd_ex"].item() == pytest.approx(0.7 * by_hand.item())
    assert losses["pgd_ex_perturbed_loss"].item() == pytest.approx(by_hand.item())


def test_the_change_is_a_constant_to_the_optimizer(scored, linear_scorer):
    losses, change, actors = recorded(PGDEx(1.0, num_steps=2), scored, linear_scorer)
    (gradient,) = torch.autograd.grad(losses["loss_pgd_ex"], linear_scorer.logits)
    clips = actors.clips + change
    errors = linear_scorer(clips)[actors.clip_index].sigmoid() - F.one_hot(actors.labels, 3)
    torch.testing.assert_close(gradient, errors.T @ linear_scorer.features_of(clips)[actors.clip_index] / 3)


def test_more_steps_raise_the_loss_and_stay_within_the_radius(scored, scorer):
    found = []
    for kind, steps in (("noise", 1), ("pgd", 1), ("pgd", 10)):
        penalty = PGDEx(1.0, kind=kind, radius=0.5, num_steps=steps, step_size=0.1)
        losses, change, _ = recorded(penalty, scored, scorer)
        found.append(losses["loss_pgd_ex"].item())
    assert found[2] > max(found[:2])
    assert change.abs().max().item() == pytest.approx(0.5)


def test_noise_comes_from_the_generator_and_has_the_given_deviation(scored, scorer):
    penalty = PGDEx(1.0, kind="noise", radius=2.0)
    actors = scored(scorer, masks=torch.zeros(3, 2, 3, 4, dtype=torch.bool))
    first, again, other = (penalty(actors, step=0, generator=generator(s))["loss_pgd_ex"].item() for s in (0, 0, 1))
    assert first == again != other
    noise = penalty._noise(actors, torch.ones(1, 1, 1, 1, 1, dtype=torch.bool).expand(3, 1, 2, 3, 4), generator())
    assert noise.std().item() == pytest.approx(2.0, rel=0.15)


def test_without_actors_there_is_no_loss(scored, scorer):
    losses = PGDEx(1.0)(scored(scorer, clip_index=()), step=0, generator=generator())
    assert {name: loss.item() for name, loss in losses.items()} == {"loss_pgd_ex": 0, "pgd_ex_perturbed_loss": 0}
    losses["loss_pgd_ex"].backward()


def test_the_weight_follows_the_schedule(scored, scorer):
    penalty = PGDEx(1.0, warmup_steps=4, interval=2)
    first, last = (penalty(scored(scorer), step=s, generator=generator())["loss_pgd_ex"].item() for s in (0, 8))
    assert first == pytest.approx(last / 4)


def test_a_detector_that_cannot_be_asked_is_refused(scored, scorer):
    with pytest.raises(PenaltyError, match="needs `score`"):
        PGDEx(1.0)(scored(scorer, score=None), step=0, generator=generator())


@pytest.mark.parametrize("changes", [{"radius": 0.0}, {"num_steps": 0}, {"step_size": -1.0}, {"weight": -1.0}])
def test_settings_without_meaning_are_refused(changes):
    with pytest.raises(ConfigError):
        PGDEx(**({"weight": 1.0} | changes))
