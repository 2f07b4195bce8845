"""The gradient penalty is exact, has the stated scale, and refuses to be silently wrong."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from stal.errors import PenaltyError, ShapeError
from stal.losses.gradient_penalty import GradientPenalty, _check, gradient_energy
from stal.models.backbone import SlowFast
from stal.models.detector import TubeDetector


class Linear(nn.Module):
    """Logit of clip b: <weight, clip b>."""

    def __init__(self, *size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(size, dtype=torch.float64))

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        return (self.weight * clips).flatten(1).sum(1)


class Smooth(nn.Module):
    """Two logits per clip, each a smooth function of all voxels."""

    def __init__(self, channels: int = 3, num_logits: int = 2) -> None:
        super().__init__()
        self.conv = nn.Conv3d(channels, 4, 3, padding=1, dtype=torch.float64)
        self.out = nn.Conv3d(4, num_logits, 1, dtype=torch.float64)

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        return self.out(torch.tanh(self.conv(clips))).mean((2, 3, 4))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def random_masks(num: int, size: tuple[int, int, int]) -> torch.Tensor:
    return torch.rand(num, *size) < 0.4


def test_energy_of_a_linear_model_is_its_squared_weights_on_each_side_of_the_mask():
    model = Linear(3, 2, 4, 5)
    clips = torch.randn(1, 3, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    masks = random_masks(1, (2, 4, 5))
    energy = gradient_energy(model(clips), clips, masks, torch.zeros(1, dtype=torch.int64))
    weights = model.weight.detach().square().sum(0) * (2 * 4 * 5)
    assert energy.outside.item() == pytest.approx((weights * ~masks[0]).sum().item(), rel=1e-6)
    assert energy.inside.item() == pytest.approx((weights * masks[0]).sum().item(), rel=1e-6)


def small_detector(num_classes: int = 3) -> TubeDetector:
    backbone = SlowFast(
        depth=18, width=8, channel_ratio=4, norm="group", stem_kernels=((1, 3, 3), (3, 3, 3)), fusion_kernel=3
    )
    detector = TubeDetector(
        backbone, num_classes=num_classes, regressor={"channels": 8, "bins": 2}, classifier={"bins": 3, "dropout": 0.0}
    )
    # A class layer that starts near zero would make the test blind.
    nn.init.normal_(detector.classifier.logits.weight, std=0.3)
    return detector.double().eval()


@pytest.fixture
def one_actor() -> tuple[TubeDetector, torch.Tensor, torch.Tensor, torch.Tensor]:
    clips = torch.randn(1, 3, 8, 32, 32, dtype=torch.float64)
    tubelets = torch.tensor([4.0, 6.0, 22.0, 27.0], dtype=torch.float64).expand(1, 8, 4)
    masks = torch.zeros(1, 8, 32, 32, dtype=torch.bool)
    masks[:, :, 6:27, 4:22] = True
    return small_detector(), clips, tubelets, masks


def penalty_of(detector, clips, tubelets, masks, label=1) -> torch.Tensor:
    clips = clips.detach().requires_grad_()
    index = torch.zeros(len(tubelets), dtype=torch.int64)
    logits = detector.class_logits(clips, tubelets, index)
    return gradient_energy(logits[:, label], clips, masks, index).outside.sum()


def test_penalty_of_a_slowfast_equals_the_formula_computed_by_a_loop(one_actor):
    detector, clips, tubelets, masks = one_actor
    x = clips.clone().requires_grad_()
    detector.class_logits(x, tubelets, torch.zeros(1, dtype=torch.int64))[0, 1].backward()
    by_hand = 0.0
    for t in range(8):
        for row in range(32):
            for column in range(32):
                if not masks[0, t, row, column]:
                    for channel in range(3):
                        by_hand += x.grad[0, channel, t, row, column].item() ** 2
    by_hand *= 8 * 32 * 32
    assert penalty_of(detector, clips, tubelets, masks).item() == pytest.approx(by_hand, rel=1e-5)
    assert by_hand > 1e-6


def test_parameter_gradient_of_a_slowfast_equals_central_differences(one_actor):
    detector, clips, tubelets, masks = one_actor
    penalty = penalty_of(detector, clips, tubelets, masks)
    assert penalty.dtype == torch.float64
    parameters = [p for name, p in detector.named_parameters() if name.startswith(("backbone", "classifier"))]
    gradients = torch.autograd.grad(penalty, parameters, allow_unused=True)
    step, reached = 1e-6, 0
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if gradient is None:  # the last bias moves no gradient
            continue
        direction = torch.randn_like(parameter)
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter += sign * step * direction
            ends.append(penalty_of(detector, clips, tubelets, masks).item())
            with torch.no_grad():
                parameter -= sign * step * direction
        numeric = (ends[0] - ends[1]) / (2 * step)
        analytic = (gradient * direction).sum().item()
        assert analytic == pytest.approx(numeric, rel=2e-4, abs=1e-6 * penalty.item())
        reached += abs(analytic) > 0
    assert reached > 60  # of 79: it reaches the weights of both pathways, not only the last layer


def test_actors_of_one_clip_get_each_its_own_gradient():
    model = Smooth()
    clips = torch.randn(2, 3, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    masks = random_masks(3, (2, 4, 4))
    index = torch.tensor([0, 1, 0])
    logits = model(clips)
    together = gradient_energy(torch.stack([logits[0, 0], logits[1, 0], logits[0, 1]]), clips, masks, index)
    for target, (clip, k) in enumerate([(0, 0), (1, 0), (0, 1)]):
        alone = gradient_energy(model(clips)[clip, k][None], clips, masks[[target]], index[[target]])
        assert together.outside[target].item() == pytest.approx(alone.outside.item(), rel=1e-6)
        assert together.inside[target].item() == pytest.approx(alone.inside.item(), rel=1e-6)


def test_energy_does_not_change_when_the_same_clip_is_sampled_twice_as_finely():
    model = Smooth(num_logits=1)
    coarse = torch.randn(1, 3, 2, 4, 4, dtype=torch.float64)
    masks = random_masks(1, (2, 4, 4))
    index = torch.zeros(1, dtype=torch.int64)

    def energy(clips, masks, factor):
        clips = clips.detach().requires_grad_()
        logits = model(F.avg_pool3d(clips, (1, factor, factor)))
        return gradient_energy(logits[:, 0], clips, masks, index).outside.item()

    fine = coarse.repeat_interleave(2, 3).repeat_interleave(2, 4)
    fine_masks = masks.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert energy(fine, fine_masks, 2) == pytest.approx(energy(coarse, masks, 1), rel=1e-6)


def test_penalty_does_not_change_with_the_batch_size():
    model, penalty = Smooth(num_logits=1), GradientPenalty(weight=0.3)
    clips = torch.randn(1, 3, 2, 4, 4, dtype=torch.float64)
    masks = random_masks(1, (2, 4, 4))
    values = []
    for size in (1, 5):
        batch = clips.repeat(size, 1, 1, 1, 1).requires_grad_()
        values.append(penalty(model(batch)[:, 0], batch, masks.repeat(size, 1, 1, 1), torch.arange(size)))
    assert values[0]["loss_pgg"].item() == pytest.approx(values[1]["loss_pgg"].item(), rel=1e-6)
    assert values[0]["loss_pgg"].item() == pytest.approx(0.3 * values[0]["pgg_energy_outside"].item(), rel=1e-6)


def test_a_batch_without_actors_has_no_penalty():
    clips = torch.randn(2, 3, 2, 4, 4, requires_grad=True)
    none = torch.zeros(0)
    losses = GradientPenalty(weight=1.0)(none, clips, torch.zeros(0, 2, 4, 4, dtype=torch.bool), none.long())
    assert {name: value.item() for name, value in losses.items()} == {
        "loss_pgg": 0,
        "pgg_energy_outside": 0,
        "pgg_energy_inside": 0,
    }


def test_the_penalty_stays_in_float32_under_autocast():
    model = nn.Sequential(nn.Conv3d(3, 4, 1), nn.ReLU(), nn.Conv3d(4, 1, 1))
    clips = torch.randn(1, 3, 2, 4, 4, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(clips).mean((1, 2, 3, 4))
        energy = gradient_energy(logits, clips, random_masks(1, (2, 4, 4)), torch.zeros(1, dtype=torch.int64))
    assert energy.outside.dtype == torch.float32
    energy.outside.sum().backward()
    assert model[0].weight.grad.abs().sum() > 0


INDEX = torch.zeros(1, dtype=torch.int64)


def test_refuses_clips_that_are_not_the_input_leaf():
    model = Smooth(num_logits=1)
    clips = torch.randn(1, 3, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    stem = clips * 2  # what pytorchvideo leaves in the list of pathways
    with pytest.raises(PenaltyError, match="computed from something else"):
        gradient_energy(model(stem)[:, 0], stem, random_masks(1, (2, 4, 4)), INDEX)


def test_refuses_clips_that_the_logits_do_not_depend_on():
    model = Smooth(num_logits=1)
    clips = torch.randn(1, 3, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    other = clips.detach().clone().requires_grad_()
    with pytest.raises(PenaltyError, match="do not depend"):
        gradient_energy(model(other)[:, 0], clips, random_masks(1, (2, 4, 4)), INDEX)


def test_refuses_clips_without_gradient():
    clips = torch.randn(1, 3, 2, 4, 4, dtype=torch.float64)
    with pytest.raises(PenaltyError, match="does not require a gradient"):
        gradient_energy(Smooth(num_logits=1)(clips)[:, 0], clips, random_masks(1, (2, 4, 4)), INDEX)


def test_refuses_to_run_without_gradients():
    clips = torch.randn(1, 3, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    logits = Smooth(num_logits=1)(clips)[:, 0]
    with torch.no_grad(), pytest.raises(PenaltyError, match="switched off"):
        gradient_energy(logits, clips, random_masks(1, (2, 4, 4)), INDEX)


@pytest.mark.parametrize("model", [Linear(3, 2, 4, 4), Smooth(num_logits=1)], ids=["linear", "nonlinear"])
def test_refuses_a_penalty_that_does_not_reach_the_weights(model):
    clips = torch.randn(1, 3, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    logits = model.requires_grad_(False)(clips).flatten()
    with pytest.raises(PenaltyError, match="does not reach the weights"):
        gradient_energy(logits, clips, random_masks(1, (2, 4, 4)), INDEX)


@pytest.mark.parametrize(
    ("masks", "index"),
    [
        (torch.zeros(1, 2, 4, 5, dtype=torch.bool), INDEX),
        (torch.zeros(2, 2, 4, 4, dtype=torch.bool), INDEX),
        (torch.zeros(1, 2, 4, 4, dtype=torch.bool), torch.zeros(2, dtype=torch.int64)),
    ],
    ids=["another size", "another number", "another number of clips"],
)
def test_refuses_masks_that_do_not_fit(masks, index):
    clips = torch.randn(1, 3, 2, 4, 4, requires_grad=True)
    with pytest.raises(ShapeError, match="must be"):  # the check itself: while tests run, jaxtyping comes before it
        _check(clips.mean((1, 2, 3, 4)), clips, masks, index)
