import pytest
import torch

from stal.mixing.blending import blend, feather_masks


@pytest.mark.parametrize(
    ("distance", "expected"),
    [
        (0, [0, 0, 0, 1, 1, 1, 1, 0]),
        (1, [0, 0, 1 / 3, 2 / 3, 1, 1, 2 / 3, 1 / 3]),
        (2, [0, 1 / 5, 2 / 5, 3 / 5, 4 / 5, 4 / 5, 3 / 5, 2 / 5]),
    ],
)
def test_an_edge_becomes_a_ramp_to_either_side(distance, expected):
    mask = torch.tensor([False] * 3 + [True] * 4 + [False]).expand(2, 1, 1, 8)
    opacity = feather_masks(mask.expand(2, 1, 9, 8), distance)
    torch.testing.assert_close(opacity, torch.tensor(expected, dtype=torch.float32).expand(2, 1, 9, 8))


@pytest.mark.parametrize("distance", [0, 1, 2, 7])
def test_opacity_is_above_one_half_on_the_mask_alone(distance):
    masks = torch.rand(5, 9, 11, generator=torch.Generator().manual_seed(0)) < torch.linspace(0, 1, 5).view(-1, 1, 1)
    opacity = feather_masks(masks, distance)
    assert torch.equal(opacity > 0.5, masks) and torch.equal(opacity >= 0.5, masks)
    assert ((opacity >= 0) & (opacity <= 1)).all()
    assert not opacity[0].any()


def test_a_mask_without_an_edge_is_opaque():
    assert (feather_masks(torch.ones(2, 4, 5, dtype=torch.bool), 3) == 1).all()


def test_whole_numbers_are_rounded_and_floats_are_not():
    opacity = torch.tensor([0.0, 0.25, 0.5, 1.0]).view(1, 1, 4)
    front, back = torch.full((3, 2, 1, 4), 255, dtype=torch.uint8), torch.full((3, 2, 1, 4), 1, dtype=torch.uint8)
    mixed = blend(front, back, opacity)
    assert mixed.dtype == torch.uint8 and mixed[0, 0, 0].tolist() == [1, 64, 128, 255]
    mixed = blend(front.double(), back.double(), opacity)
    assert mixed.dtype == torch.float64 and mixed[0, 0, 0].tolist() == [1, 64.5, 128, 255]
