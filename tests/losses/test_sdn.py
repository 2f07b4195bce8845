"""The head learns the scene, the features unlearn it, and what is left without actors says nothing."""

import pytest
import torch
from torch.nn import functional as F

from stal.errors import ConfigError, PenaltyError
from stal.losses.sdn import SDN

SCENES = torch.tensor([1, 0, 1])


def run(penalty, actors, step=0):
    return penalty(actors, step=step, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def sdn():
    def make(weight: float = 0.5, **changes) -> SDN:
        torch.manual_seed(3)
        return SDN(weight, **({"num_scenes": 2, "in_channels": 5} | changes)).double()

    return make


def test_values_are_the_formula(scored, scorer, sdn):
    actors, penalty = scored(scorer, scenes=SCENES), sdn(confusion_weight=0.6)
    losses = run(penalty, actors)
    scores = penalty.head(actors.features)
    torch.testing.assert_close(losses["loss_sdn_scene"], F.cross_entropy(scores, SCENES))
    assert losses["sdn_scene_accuracy"].item() == pytest.approx((scores.argmax(1) == SCENES).double().mean().item())
    masked = actors.clips.clone()
    for mask, clip in zip(actors.masks, actors.clip_index, strict=True):
        for frame in range(2):
            masked[clip, :, frame, mask[frame]] = actors.clips[clip, :, frame].mean((1, 2))[:, None]
    probabilities = scorer(masked)[actors.clip_index].softmax(1)
    expected = 0.5 * 0.6 * (probabilities * probabilities.log()).sum(1).mean()
    torch.testing.assert_close(losses["loss_sdn_confusion"], expected)


def test_the_features_get_the_reversed_gradient_times_the_weight_and_the_head_its_own(scored, scorer, sdn):
    penalty = sdn(0.5, warmup_steps=2)
    head, features = list(penalty.head.parameters()), scorer.features

    def gradients(loss):
        return torch.autograd.grad(loss, [*head, features])

    plain = gradients(F.cross_entropy(penalty.head(scored(scorer).features), SCENES))
    for step, strength in ((0, 0.25), (5, 0.5)):
        found = gradients(run(penalty, scored(scorer, scenes=SCENES), step)["loss_sdn_scene"])
        for ours, plains in zip(found[:-1], plain[:-1], strict=True):
            torch.testing.assert_close(ours, plains)
        torch.testing.assert_close(found[-1], -strength * plain[-1])
    assert plain[-1].abs().sum() > 0


def test_confusion_equals_central_differences(scored, scorer, sdn, check_parameter_gradient):
    penalty = sdn()
    check_parameter_gradient(
        lambda: run(penalty, scored(scorer, scenes=SCENES))["loss_sdn_confusion"], list(scorer.parameters())
    )


def test_actors_of_an_unknown_scene_take_no_part(scored, scorer, sdn):
    penalty = sdn()
    some = run(penalty, scored(scorer, scenes=torch.tensor([1, -1, 1])))
    scores = penalty.head(scored(scorer).features[[0, 2]])
    torch.testing.assert_close(some["loss_sdn_scene"], F.cross_entropy(scores, torch.tensor([1, 1])))
    none = run(penalty, scored(scorer, scenes=torch.full((3,), -1)))
    assert none["loss_sdn_scene"] == 0 and none["sdn_scene_accuracy"] == 0


def test_without_actors_all_is_zero_and_the_head_gets_a_gradient(scored, scorer, sdn):
    penalty = sdn()
    losses = run(penalty, scored(scorer, clip_index=()))
    assert not any(loss.item() for loss in losses.values())
    (losses["loss_sdn_scene"] + losses["loss_sdn_confusion"]).backward()
    assert all(weight.grad is not None and not weight.grad.any() for weight in penalty.parameters())


def test_at_weight_zero_the_head_is_a_probe_that_leaves_the_detector_alone(scored, scorer, sdn):
    penalty = sdn(0.0)
    losses = run(penalty, scored(scorer, scenes=SCENES))
    (losses["loss_sdn_scene"] + losses["loss_sdn_confusion"]).backward()
    assert not scorer.features.grad.any()
    assert all(weight.grad.any() for weight in penalty.head[2].parameters())


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"scenes": None}, PenaltyError, "made without"),
        ({"scenes": torch.tensor([0, 2, 1])}, PenaltyError, "num_scenes = 2, but a clip of this batch shows scene 2"),
        ({"features": None}, PenaltyError, "does not say what they are"),
        ({"features": torch.zeros(3, 4, dtype=torch.float64)}, ConfigError, "in_channels = 5.* have 4"),
    ],
)
def test_a_batch_that_it_cannot_judge_is_refused(changes, error, message, scored, scorer, sdn):
    with pytest.raises(error, match=message):
        run(sdn(), scored(scorer, **({"scenes": SCENES} | changes)))


@pytest.mark.parametrize("changes", [{"num_scenes": 0}, {"in_channels": 0}, {"confusion_weight": -1.0}])
def test_settings_without_meaning_are_refused(changes, sdn):
    with pytest.raises(ConfigError):
        sdn(**changes)
