"""Energies are exact, have the stated scale, and average over blocks as they say."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from stal.errors import ShapeError
from stal.losses.gradient_energy import check_shapes, energy_of, gradient_energy
from stal.models.backbone import SlowFast
from stal.models.detector import TubeDetector

FIRST = torch.zeros(1, dtype=torch.int64)
BLOCKS = [(1, 1, 1), (2, 1, 1), (1, 2, 3), (2, 2, 2), (3, 4, 5), (9, 9, 9)]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def random_masks(num: int, size: tuple[int, int, int]) -> torch.Tensor:
    return torch.rand(num, *size) < 0.4


def energy_by_loop(gradient: torch.Tensor, counted: torch.Tensor, blocks: tuple[int, int, int]) -> float:
    """Return V times the sum over blocks and channels of n (mean of the voxels that count)^2, block by block."""
    channels, *size = gradient.shape
    starts = [range(0, length, block) for length, block in zip(size, blocks, strict=True)]
    total = 0.0
    for channel in range(channels):
        for t in starts[0]:
            for y in starts[1]:
                for x in starts[2]:
                    window = (slice(t, t + blocks[0]), slice(y, y + blocks[1]), slice(x, x + blocks[2]))
                    values = gradient[channel][window][counted[window]]
                    if len(values):
                        total += len(values) * values.mean().item() ** 2
    return total * math.prod(size)


@pytest.mark.parametrize("blocks", BLOCKS)
def test_energy_of_a_linear_model_is_that_of_its_weights_on_each_side_of_the_mask(blocks):
    weight = torch.randn(3, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    clips = torch.randn(1, 3, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    mask = random_masks(1, (3, 4, 5))
    energy = gradient_energy((weight * clips).sum((1, 2, 3, 4)), clips, mask, FIRST, blocks=blocks)
    assert energy.outside.item() == pytest.approx(energy_by_loop(weight.detach(), ~mask[0], blocks), rel=1e-9)
    assert energy.inside.item() == pytest.approx(energy_by_loop(weight.detach(), mask[0], blocks), rel=1e-9)


@pytest.mark.parametrize("blocks", BLOCKS)
def test_derivatives_of_the_energy_are_exact(blocks):
    masks = random_masks(2, (3, 2, 5))
    gradients = torch.randn(2, 1, 3, 2, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda g: tuple(energy_of(g, masks, blocks)), gradients)
    assert torch.autograd.gradgradcheck(lambda g: tuple(energy_of(g, masks, blocks)), gradients)


sizes = st.tuples(*[st.integers(1, 5)] * 3)


@given(sizes, sizes, st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_coarser_blocks_never_have_more_energy(size, blocks, seed):
    generator = torch.Generator().manual_seed(seed)
    gradients = torch.randn(2, 2, *size, generator=generator, dtype=torch.float64)
    masks = torch.rand(2, *size, generator=generator) < 0.4
    by_voxels, by_blocks = energy_of(gradients, masks), energy_of(gradients, masks, blocks)
    by_coarser = energy_of(gradients, masks, tuple(3 * side for side in blocks))
    for voxels, fine, coarse in zip(by_voxels, by_blocks, by_coarser, strict=True):
        assert (voxels * (1 + 1e-9) >= fine).all()
        assert (fine * (1 + 1e-9) >= coarse).all()


@given(sizes, sizes, st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_a_gradient_that_is_constant_within_blocks_has_the_energy_of_its_voxels(size, blocks, seed):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(1, 2, *[-(-n // b) for n, b in zip(size, blocks, strict=True)], generator=generator)
    for axis, block in enumerate(blocks, start=2):  # the last blocks may be cut
        values = values.repeat_interleave(block, axis).narrow(axis, 0, size[axis - 2])
    masks = torch.rand(1, *size, generator=generator) < 0.4
    for voxels, averaged in zip(energy_of(values, masks), energy_of(values, masks, blocks), strict=True):
        torch.testing.assert_close(averaged, voxels, rtol=1e-5, atol=1e-6)


def test_what_cancels_within_a_block_has_no_energy():
    gradients = torch.tensor([1.0, -1.0, 2.0, -2.0]).view(1, 1, 4, 1, 1)
    nothing = torch.zeros(1, 4, 1, 1, dtype=torch.bool)
    assert energy_of(gradients, nothing).outside.item() == 4 * 10
    assert energy_of(gradients, nothing, (2, 1, 1)).outside.item() == 0
    # Without the first voxel the first block has one left, of which nothing cancels.
    first = torch.tensor([True, False, False, False]).view(1, 4, 1, 1)
    assert energy_of(gradients, first, (2, 1, 1)).outside.item() == 4 * 1


class Smooth(nn.Module):
    """Two logits per clip, each a smooth function of all voxels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(3, 4, 3, padding=1, dtype=torch.float64)
        self.out = nn.Conv3d(4, 2, 1, dtype=torch.float64)

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        return self.out(torch.tanh(self.conv(clips))).mean((2, 3, 4))


def test_actors_of_one_clip_get_each_its_own_energy():
    model = Smooth()
    clips = torch.randn(2, 3, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    masks = random_masks(3, (2, 4, 4))
    index = torch.tensor([0, 1, 0])
    logits = model(clips)
    together = gradient_energy(torch.stack([logits[0, 0], logits[1, 0], logits[0, 1]]), clips, masks, index)
    for actor, (clip, k) in enumerate([(0, 0), (1, 0), (0, 1)]):
        alone = gradient_energy(model(clips)[clip, k][None], clips, masks[[actor]], index[[actor]])
        assert together.outside[actor].item() == pytest.approx(alone.outside.item(), rel=1e-9)
        assert together.inside[actor].item() == pytest.approx(alone.inside.item(), rel=1e-9)


def test_energy_does_not_change_when_the_same_clip_is_sampled_twice_as_finely():
    model = Smooth()
    coarse = torch.randn(1, 3, 2, 4, 4, dtype=torch.float64)
    masks = random_masks(1, (2, 4, 4))

    def energy(clips, masks, factor):
        clips = clips.detach().requires_grad_()
        logits = model(F.avg_pool3d(clips, (1, factor, factor)))
        return gradient_energy(logits[:, 0], clips, masks, FIRST).outside.item()

    fine = coarse.repeat_interleave(2, 3).repeat_interleave(2, 4)
    fine_masks = masks.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert energy(fine, fine_masks, 2) == pytest.approx(energy(coarse, masks, 1), rel=1e-9)


def test_the_energy_stays_in_float32_under_autocast():
    model = nn.Sequential(nn.Conv3d(3, 4, 1), nn.ReLU(), nn.Conv3d(4, 1, 1))
    clips = torch.randn(1, 3, 2, 4, 4, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(clips).mean((1, 2, 3, 4))
        energy = gradient_energy(logits, clips, random_masks(1, (2, 4, 4)), FIRST, blocks=(2, 2, 2))
    assert energy.outside.dtype == torch.float32
    energy.outside.sum().backward()
    assert model[0].weight.grad.abs().sum() > 0


def test_no_actors_have_no_energies():
    clips = torch.randn(2, 3, 2, 4, 4, requires_grad=True)
    energy = gradient_energy(torch.zeros(0), clips, torch.zeros(0, 2, 4, 4, dtype=torch.bool), FIRST[:0])
    assert energy.outside.shape == energy.inside.shape == (0,)


@pytest.mark.parametrize(
    ("masks", "index"),
    [
        (torch.zeros(1, 2, 4, 5, dtype=torch.bool), FIRST),
        (torch.zeros(2, 2, 4, 4, dtype=torch.bool), FIRST),
        (torch.zeros(1, 2, 4, 4, dtype=torch.bool), torch.zeros(2, dtype=torch.int64)),
    ],
    ids=["another size", "another number", "another number of clips"],
)
def test_refuses_masks_that_do_not_fit(masks, index):
    clips = torch.randn(1, 3, 2, 4, 4, requires_grad=True)
    with pytest.raises(ShapeError, match="must be"):  # the check itself: while tests run, jaxtyping comes before it
        check_shapes(clips.mean((1, 2, 3, 4)), clips, masks, index)


def small_detector() -> TubeDetector:
    backbone = SlowFast(
        depth=18, width=8, channel_ratio=4, norm="group", stem_kernels=((1, 3, 3), (3, 3, 3)), fusion_kernel=3
    )
    detector = TubeDetector(
        backbone, num_classes=3, regressor={"channels": 8, "bins": 2}, classifier={"bins": 3, "dropout": 0.0}
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


def outside_energy(detector, clips, tubelets, masks, blocks=(1, 1, 1)) -> torch.Tensor:
    clips = clips.detach().requires_grad_()
    logits = detector.class_logits(clips, tubelets, FIRST)
    return gradient_energy(logits[:, 1], clips, masks, FIRST, blocks=blocks).outside.sum()


@pytest.mark.parametrize("blocks", [(1, 1, 1), (8, 4, 4)])
def test_energy_of_a_slowfast_equals_the_formula_computed_by_a_loop(one_actor, blocks):
    detector, clips, tubelets, masks = one_actor
    x = clips.clone().requires_grad_()
    detector.class_logits(x, tubelets, FIRST)[0, 1].backward()
    by_hand = energy_by_loop(x.grad[0], ~masks[0], blocks)
    assert outside_energy(*one_actor, blocks).item() == pytest.approx(by_hand, rel=1e-9)
    assert by_hand > 1e-6


def test_parameter_gradient_of_a_slowfast_equals_central_differences(one_actor):
    detector, *_ = one_actor
    energy = outside_energy(*one_actor)
    assert energy.dtype == torch.float64
    parameters = [p for name, p in detector.named_parameters() if name.startswith(("backbone", "classifier"))]
    gradients = torch.autograd.grad(energy, parameters, allow_unused=True)
    step, reached = 1e-6, 0
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if gradient is None:  # the last bias moves no gradient
            continue
        direction = torch.randn_like(parameter)
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter += sign * step * direction
            ends.append(outside_energy(*one_actor).item())
            with torch.no_grad():
                parameter -= sign * step * direction
        numeric = (ends[0] - ends[1]) / (2 * step)
        analytic = (gradient * direction).sum().item()
        assert analytic == pytest.approx(numeric, rel=2e-4, abs=1e-6 * energy.item())
        reached += abs(analytic) > 0
    assert reached > 60  # of 79: it reaches the weights of both pathways, not only the last layer


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_energies_of_no_actors_are_of_the_precision_of_others(dtype):
    clips = torch.zeros(1, 3, 2, 4, 4, dtype=dtype, requires_grad=True)
    energies = gradient_energy(clips.sum((1, 2, 3, 4))[:0], clips, torch.zeros(0, 2, 4, 4, dtype=torch.bool), FIRST[:0])
    expected = torch.float64 if dtype == torch.float64 else torch.float32
    assert energies.outside.dtype == energies.inside.dtype == expected
