"""Maps of classes over clips."""

from typing import Any

import pytest
import torch

from stal.attribution.class_maps import check_method, class_maps
from stal.errors import ConfigError
from stal.models.backbone import SlowFast
from stal.models.clip_classifier import ClipClassifier

FRAMES, HEIGHT, WIDTH = 8, 32, 48
CLIP_INDEX, LABELS = torch.tensor([0, 0, 1]), torch.tensor([2, 0, 1])


@pytest.fixture
def clips() -> torch.Tensor:
    return torch.randn(2, 3, FRAMES, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))


def build(backbone: Any) -> ClipClassifier:
    torch.manual_seed(0)
    network = ClipClassifier(backbone, num_classes=3)
    torch.nn.init.normal_(network.logits.weight)
    return network


@pytest.fixture
def pixels(pixel_backbone) -> ClipClassifier:
    return build(pixel_backbone())


@pytest.fixture(scope="module")
def two_pathways() -> ClipClassifier:
    torch.manual_seed(0)
    return build(SlowFast(depth=18, width=8, channel_ratio=4, norm="group", fusion_kernel=3))


def normalized(maps: torch.Tensor) -> torch.Tensor:
    low = maps.flatten(1).min(1).values.view(-1, 1, 1, 1)
    high = maps.flatten(1).max(1).values.view(-1, 1, 1, 1)
    return (maps - low) / (high - low)


def test_cam_is_the_linear_layer_of_each_feature(pixels, clips):
    pixels.eval()
    features = pixels.backbone(clips).slow
    maps = pixels.logits(features.movedim(1, -1)).movedim(-1, 1)  # (B, K, T, h, w)
    torch.testing.assert_close(maps.mean((2, 3, 4)), pixels(clips).logits)
    chosen = maps[CLIP_INDEX, LABELS]
    expected = torch.nn.functional.interpolate(chosen, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(
        class_maps(pixels, clips, CLIP_INDEX, LABELS), normalized(expected), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("method", ["cam", "grad_cam", "input_gradient"])
def test_maps_are_from_0_to_1_over_all_voxels(two_pathways, clips, method):
    maps = class_maps(two_pathways, clips, CLIP_INDEX, LABELS, method)
    assert maps.shape == (3, FRAMES, HEIGHT, WIDTH)
    assert maps.amin((1, 2, 3)).tolist() == [0, 0, 0]
    assert maps.amax((1, 2, 3)).tolist() == [1, 1, 1]


def test_the_maps_of_both_pathways_are_added_up(two_pathways, clips):
    """A logit that one pathway alone has a say in has that pathway's map."""
    whole = class_maps(two_pathways, clips, CLIP_INDEX, LABELS)
    parts = []
    kept = two_pathways.logits.weight.detach().clone()
    for of_slow in (True, False):
        weight = kept.clone()
        channels = two_pathways.backbone.slow_channels
        weight[:, channels:] *= not of_slow
        weight[:, :channels] *= of_slow
        two_pathways.logits.weight.data = weight
        parts.append(class_maps(two_pathways, clips, CLIP_INDEX, LABELS))
    two_pathways.logits.weight.data = kept
    flat = torch.stack([part.flatten(1) for part in (*parts, torch.ones_like(whole))], dim=-1).double()
    solved = torch.linalg.lstsq(flat, whole.flatten(1).double()[..., None])
    residual = (flat @ solved.solution)[..., 0] - whole.flatten(1)
    assert residual.abs().max() < 1e-4
    assert (solved.solution[:, :2] > 0).all()


def test_grad_cam_is_what_captum_finds(pixels, clips):
    from captum.attr import LayerGradCam

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = pixels
            self.features = torch.nn.Identity()

        def forward(self, clips: torch.Tensor) -> torch.Tensor:
            pooled = self.features(self.network.backbone(clips).slow).mean((2, 3, 4))
            return self.network.logits(pooled)

    scorer = Logits()
    maps = LayerGradCam(scorer, scorer.features).attribute(clips[CLIP_INDEX], target=LABELS)
    at_pixels = torch.nn.functional.interpolate(maps[:, 0].detach(), scale_factor=2, mode="bilinear").relu()
    found = class_maps(pixels, clips, CLIP_INDEX, LABELS, "grad_cam")
    torch.testing.assert_close(found, normalized(at_pixels), rtol=1e-4, atol=1e-5)


def test_the_input_gradient_is_averaged_over_the_squares_of_features(pixels, clips):
    clips = clips[:1].requires_grad_()
    (gradient,) = torch.autograd.grad(pixels.eval()(clips).logits[0, 2], clips)
    squares = gradient.abs().sum(1).unflatten(2, (-1, 2)).unflatten(4, (-1, 2)).mean((3, 5))
    expected = torch.nn.functional.interpolate(squares, scale_factor=2, mode="bilinear")
    found = class_maps(pixels, clips, torch.tensor([0]), torch.tensor([2]), "input_gradient")
    torch.testing.assert_close(found, normalized(expected), rtol=1e-4, atol=1e-5)


def test_a_map_that_is_the_same_everywhere_is_zero(pixels, clips):
    pixels.logits.weight.data.zero_()
    for method in ("cam", "grad_cam", "input_gradient"):
        assert not class_maps(pixels, clips, CLIP_INDEX, LABELS, method).any()


@pytest.mark.parametrize("method", ["cam", "input_gradient"])
def test_no_map_is_asked_for_and_none_is_made(pixels, clips, method):
    none = torch.zeros(0, dtype=torch.int64)
    assert class_maps(pixels, clips, none, none, method).shape == (0, FRAMES, HEIGHT, WIDTH)


@pytest.mark.parametrize("training", [True, False])
def test_nothing_of_the_classifier_changes(pixels, clips, training):
    pixels.train(training)
    class_maps(pixels, clips, CLIP_INDEX, LABELS, "input_gradient")
    assert pixels.training == training
    assert all(weight.grad is None for weight in pixels.parameters())


def test_an_unknown_method_is_refused():
    with pytest.raises(ConfigError, match="'occlusion' is none of 'cam', 'grad_cam', 'input_gradient'"):
        check_method("occlusion")
