"""Which function of the logits is differentiated."""

import itertools

import pytest
import torch

from stal.losses.gradient_targets import target_scores

LABELS = torch.tensor([2, 0])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("target", "weight_of"),
    [
        ("logit", lambda p, own: own),
        ("log_probability", lambda p, own: own * (1 - p)),
        ("sum_log_probability", lambda p, own: 1 - 2 * p),
    ],
)
def test_a_target_weighs_the_gradients_of_the_logits(target, weight_of):
    logits = torch.randn(2, 3, generator=generator(1), dtype=torch.float64).requires_grad_()
    scores = target_scores(target, LABELS, 3, generator())(logits)
    assert scores.shape == (2,)
    (weights,) = torch.autograd.grad(scores.sum(), logits)
    own = torch.nn.functional.one_hot(LABELS, 3)
    torch.testing.assert_close(weights, weight_of(logits.detach().sigmoid(), own).to(weights.dtype))


def test_log_probabilities_are_finite_for_logits_of_any_size():
    logits = torch.tensor([[-1e4, 0.0, 1e4], [1e4, -1e4, 0.0]])
    for target in ("log_probability", "sum_log_probability"):
        assert torch.isfinite(target_scores(target, LABELS, 3, generator())(logits)).all()


def signs_of(seed: int, labels: torch.Tensor = LABELS, num_classes: int = 3) -> torch.Tensor:
    score = target_scores("random_signs", labels, num_classes, generator(seed))
    each_class = torch.eye(num_classes)
    return torch.stack([score(logits.expand(len(labels), -1)) for logits in each_class], dim=1)


def test_all_sign_vectors_are_drawn_alike_and_for_each_actor_anew():
    num_draws = 400
    draws = torch.cat([signs_of(seed) for seed in range(num_draws)]).int().tolist()
    counts = [draws.count(list(signs)) for signs in itertools.product((-1, 1), repeat=3)]
    assert sum(counts) == 2 * num_draws
    assert max(abs(count - 100) for count in counts) < 5 * 100**0.5
    assert any(not torch.equal(*signs_of(seed)) for seed in range(5))
    assert torch.equal(signs_of(3), signs_of(3))


def test_over_all_sign_vectors_the_mean_squared_gradient_is_the_sum_over_classes():
    gradients = torch.randn(3, 7, generator=generator(), dtype=torch.float64)  # of each class
    found = {}
    for seed in range(100):
        signs = signs_of(seed, LABELS[:1])[0]
        found[tuple(signs.tolist())] = (signs.double() @ gradients).square().sum().item()
    assert len(found) == 8
    assert sum(found.values()) / 8 == pytest.approx(gradients.square().sum().item())


def test_no_actors_have_no_scores():
    for target in ("logit", "log_probability", "sum_log_probability", "random_signs"):
        assert target_scores(target, LABELS[:0], 3, generator())(torch.zeros(0, 3)).shape == (0,)
