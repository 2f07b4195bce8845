"""ALBAR's three terms have the published signs, and its gradient is exact."""

import pytest
import torch

from stal.errors import ConfigError
from stal.losses.albar import ALBAR


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def run(penalty, actors, seed=0):
    return penalty(actors, step=0, generator=generator(seed))


def test_value_of_a_linear_model_is_the_formula(scored, linear_scorer):
    actors = scored(linear_scorer, label_weights=torch.tensor([1.0, 0.25, 0.5], dtype=torch.float64))
    losses = run(ALBAR(0.5), actors)
    static = actors.clips[:, :, 1:2].expand_as(actors.clips)  # frame 2 // 2 is held
    probabilities = linear_scorer(static)[actors.clip_index].softmax(1)
    static_loss = -(torch.tensor([1.0, 0.25, 0.5]) * probabilities[range(3), actors.labels].log()).mean()
    negative_entropy = (probabilities * probabilities.log()).sum(1).mean()
    weights = torch.einsum("kf,fcthw->cthw", linear_scorer.logits, linear_scorer.features)
    norm = weights.square().sum().sqrt()  # that of either clip that has actors: the mean over its actors
    assert losses["albar_static_loss"].item() == pytest.approx(static_loss.item())
    assert losses["albar_static_entropy"].item() == pytest.approx(-negative_entropy.item())
    assert losses["albar_gradient_norm"].item() == pytest.approx(norm.item())
    expected = 0.5 * (-static_loss + 4.25 * negative_entropy + 10 * norm)
    assert losses["loss_albar"].item() == pytest.approx(expected.item())


@pytest.mark.parametrize("gradient_weight", [0.0, 10.0])
def test_parameter_gradient_equals_central_differences(gradient_weight, scored, scorer, check_parameter_gradient):
    penalty = ALBAR(1.0, gradient_weight=gradient_weight)
    check_parameter_gradient(lambda: run(penalty, scored(scorer))["loss_albar"], list(scorer.parameters()))


def test_one_frame_of_each_clip_is_held_and_the_boxes_of_that_frame_with_it(scored, scorer):
    asked = []

    def score(clips, frames):
        asked.append((clips.detach(), frames.tolist()))
        return scorer(clips)[torch.tensor([0, 0, 2])]

    actors = scored(scorer, score=score)
    for seed in range(8):
        run(ALBAR(1.0, frame="random"), actors, seed)
    for clips, frames in asked:
        for clip, frame in enumerate(frames):
            assert all(clips[clip, :, t].equal(actors.clips[clip, :, frame]) for t in range(2))
    assert len({tuple(frames) for _, frames in asked}) > 2
    run(ALBAR(1.0), actors)
    assert asked[-1][1] == [1, 1, 1]


def test_without_the_gradient_term_no_norm_is_taken(scored, scorer):
    losses = run(ALBAR(1.0, gradient_weight=0.0), scored(scorer))
    assert losses["albar_gradient_norm"] == 0
    expected = -losses["albar_static_loss"] - 4.25 * losses["albar_static_entropy"]
    torch.testing.assert_close(losses["loss_albar"].detach(), expected)


def test_descent_makes_the_still_picture_tell_less(scored, scorer):
    optimizer = torch.optim.SGD(scorer.parameters(), lr=1e-3)
    found = []
    for _ in range(5):
        losses = run(ALBAR(1.0), scored(scorer))
        found.append(losses["albar_gradient_norm"].item())
        optimizer.zero_grad()
        losses["loss_albar"].backward()
        optimizer.step()
    assert found == sorted(found, reverse=True)


def test_without_actors_all_is_zero(scored, scorer):
    losses = run(ALBAR(1.0), scored(scorer, clip_index=()))
    assert len(losses) == 4 and not any(loss.item() for loss in losses.values())
    losses["loss_albar"].backward()


@pytest.mark.parametrize("changes", [{"entropy_weight": -1.0}, {"gradient_weight": -1.0}, {"interval": 0}])
def test_settings_without_meaning_are_refused(changes):
    with pytest.raises(ConfigError):
        ALBAR(1.0, **changes)
