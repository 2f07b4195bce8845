import ast
from pathlib import Path
from typing import get_args

import pytest
import torch
from jaxtyping import TypeCheckError
from torch.nn import functional as F

from stal.attribution import methods
from stal.attribution.baselines import Baseline, without_content
from stal.attribution.methods import Method, attribute
from stal.attribution.roi_score import Pathway, RoiScore
from stal.errors import ConfigError

SIZE = (3, 4, 5, 6)
CLIP = torch.randn(SIZE, generator=torch.Generator().manual_seed(1))
TUBELET = torch.tensor([1.0, 1.0, 4.0, 4.0]).repeat(SIZE[1], 1)
SMALL_CLIP = torch.randn(3, 8, 32, 48, generator=torch.Generator().manual_seed(2))
SMALL_TUBELET = torch.tensor([4.0, 4.0, 30.0, 28.0]).repeat(8, 1)
OF_KNOWN = [method for method in get_args(Method) if not method.startswith("grad_cam")]


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("baseline", get_args(Baseline))
@pytest.mark.parametrize("pathway", get_args(Pathway))
@pytest.mark.parametrize("label", [0, 1])
def test_of_a_linear_logit_every_method_has_its_closed_form(known_detector, pathway, label, baseline):
    detector = known_detector()
    weights = detector.weights(pathway, label)
    rise = weights * (CLIP - without_content(CLIP, baseline))
    expected = {
        "input_gradient": weights,
        "gradient_x_input": weights * CLIP,
        "smoothgrad": weights,
        "integrated_gradients": rise,
        "occlusion": rise.sum(0, keepdim=True),  # blocks of one voxel: the clip has no more of them
    }
    assert set(expected) == set(OF_KNOWN)
    for method, of_method in expected.items():
        found = attribute(
            detector, CLIP, TUBELET, label, method=method, pathway=pathway, baseline=baseline, generator=chance()
        )
        torch.testing.assert_close(found, of_method, rtol=1e-4, atol=1e-4, msg=method)


def test_of_a_quadratic_logit_the_mean_gradients_have_their_closed_forms(known_detector):
    detector = known_detector(power=2)
    weights = detector.weights("both", 0)
    gradient = attribute(detector, CLIP, TUBELET, 0)
    torch.testing.assert_close(gradient, 2 * weights * CLIP)
    integrated = attribute(detector, CLIP, TUBELET, 0, method="integrated_gradients", baseline="mean")
    torch.testing.assert_close(integrated, weights * CLIP**2, rtol=1e-4, atol=1e-5)
    smooth = attribute(detector, CLIP, TUBELET, 0, method="smoothgrad", generator=chance())
    mean_noise = ((smooth - gradient) / (2 * weights)).flatten()
    expected = methods.SMOOTHGRAD_NOISE * (CLIP.max() - CLIP.min()) / methods.SMOOTHGRAD_SAMPLES**0.5
    assert mean_noise.std().item() == pytest.approx(expected.item(), rel=0.15)  # of 360 voxels
    assert abs(mean_noise.mean().item()) < 4 * expected.item() / mean_noise.numel() ** 0.5


def test_occlusion_hides_blocks_of_all_colours(known_detector):
    size = (3, 8, 16, 20)  # blocks of 2 x 2 x 3, the last one in a row narrower
    detector, clip = known_detector(size), torch.randn(size, generator=chance())
    found = attribute(detector, clip, torch.zeros(8, 4), 1, method="occlusion", baseline="mean")
    shares = (detector.weights("both", 1) * clip).sum(0)
    for frame, row, column in ((0, 0, 0), (6, 14, 18), (2, 4, 9)):
        block = (slice(frame, frame + 2), slice(row, row + 2), slice(column, column + 3))
        torch.testing.assert_close(
            found[0][block], shares[block].sum().expand(shares[block].shape), rtol=1e-3, atol=1e-4
        )


def test_smoothgrad_is_that_of_its_generator(known_detector):
    detector = known_detector(power=2)
    first, again, other = (
        attribute(detector, CLIP, TUBELET, 0, method="smoothgrad", generator=chance(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("method", OF_KNOWN)
def test_the_network_never_sees_many_clips_at_once(known_detector, method):
    detector = known_detector((3, 8, 16, 20))
    attribute(detector, torch.randn(3, 8, 16, 20), torch.zeros(8, 4), 0, method=method, generator=chance())
    assert detector.most_clips <= 8


@pytest.mark.parametrize("method", OF_KNOWN)
@pytest.mark.parametrize("training", [True, False])
def test_nothing_of_the_detector_changes(known_detector, method, training):
    detector, clip = known_detector().train(training), CLIP.clone()
    detector.dropout.train(not training)
    weights = {name: value.clone() for name, value in detector.state_dict().items()}
    with torch.no_grad():
        found = attribute(detector, clip, TUBELET, 0, method=method, generator=chance())
    assert found.any() and not found.requires_grad
    assert detector.training is training and detector.dropout.training is not training
    assert all(torch.equal(value, weights[name]) for name, value in detector.state_dict().items())
    assert detector.slow.grad is None and torch.equal(clip, CLIP) and not clip.requires_grad


def test_modes_are_restored_after_an_error(known_detector):
    detector = known_detector().train()
    with pytest.raises(IndexError):
        attribute(detector, CLIP, TUBELET, 2)
    assert detector.training and detector.dropout.training


def test_mixed_precision_is_off(known_detector):
    detector = known_detector()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = attribute(detector, CLIP, TUBELET, 0)
    assert torch.equal(found, attribute(detector, CLIP, TUBELET, 0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "lime"}, "method.*lime"),
        ({"pathway": "middle"}, "pathway.*middle"),
        ({"method": "smoothgrad"}, "give it a generator"),
        ({"method": "grad_cam_slow", "pathway": "fast"}, "must be 'both'"),
    ],
)
def test_what_cannot_be_done_is_refused(known_detector, arguments, message):
    with pytest.raises((ConfigError, TypeCheckError), match=message):  # the second where types are checked
        attribute(known_detector(), CLIP, TUBELET, 0, **arguments)


def test_the_gradient_of_a_detector_is_that_of_finite_differences(small_detector):
    gradient = attribute(small_detector, SMALL_CLIP, SMALL_TUBELET, 1)
    assert (gradient.abs().sum((0, 2, 3)) > 0).all()  # every frame has a part in it
    direction = gradient / gradient.norm()
    step, index = 0.01, torch.zeros(1, dtype=torch.int64)
    with torch.no_grad():
        above, below = (
            small_detector.class_logits((SMALL_CLIP + sign * step * direction)[None], SMALL_TUBELET[None], index)[0, 1]
            for sign in (1, -1)
        )
    torch.testing.assert_close((above - below) / (2 * step), gradient.norm(), rtol=0.05, atol=0.0)


@pytest.mark.parametrize("method", ["input_gradient", "gradient_x_input", "smoothgrad", "integrated_gradients"])
def test_the_pathways_add_up(small_detector, method):
    both, slow, fast = (
        attribute(small_detector, SMALL_CLIP, SMALL_TUBELET, 1, method=method, pathway=pathway, generator=chance())
        for pathway in ("both", "slow", "fast")
    )
    torch.testing.assert_close(slow + fast, both, rtol=1e-4, atol=1e-5 * both.abs().max().item())
    unseen = [frame for frame in range(8) if frame not in small_detector.backbone.slow_frames(8)]
    assert slow.any() and fast.any() and not slow[:, unseen].any()


def test_integrated_gradients_add_up_to_the_rise_of_the_logit(small_detector):
    coarse = torch.randn(1, 3, 8, 4, 6, generator=chance())
    clip = F.interpolate(coarse, (8, 32, 48), mode="trilinear")[0] + 0.1 * SMALL_CLIP
    found = attribute(small_detector, clip, SMALL_TUBELET, 1, method="integrated_gradients")
    score = RoiScore(small_detector, SMALL_TUBELET, 1)
    with torch.no_grad():
        of_clip, of_baseline = score(torch.stack([clip, without_content(clip, "blur")])).tolist()
    assert abs(of_clip - of_baseline) > 0.1
    assert found.sum().item() == pytest.approx(of_clip - of_baseline, rel=0.05)


@pytest.mark.parametrize("method", ["grad_cam_slow", "grad_cam_fast"])
def test_grad_cam_is_the_weighted_sum_of_a_pathways_features_at_their_frames(small_detector, method):
    found = attribute(small_detector, SMALL_CLIP, SMALL_TUBELET, 0, method=method)
    index = torch.zeros(1, dtype=torch.int64)
    features = small_detector.backbone(SMALL_CLIP[None])
    logit = small_detector.classify(features, SMALL_TUBELET[None], index)[0][0, 0]
    of_pathway = features.slow if method == "grad_cam_slow" else features.fast
    (gradient,) = torch.autograd.grad(logit, of_pathway)
    expected = (gradient.mean((2, 3, 4), keepdim=True) * of_pathway).sum(1).relu().detach()
    enlarged = F.interpolate(
        expected, scale_factor=float(small_detector.backbone.spatial_stride), mode="bilinear", align_corners=False
    )[0, :, :32, :48]
    if method == "grad_cam_slow":  # its two frames are the clip's first and last
        first, last = enlarged
        enlarged = torch.stack([torch.lerp(first, last, frame / 7) for frame in range(8)])
    assert found.shape == (1, 8, 32, 48) and found.any() and (found >= 0).all()
    torch.testing.assert_close(found[0], enlarged, rtol=1e-4, atol=1e-6)


def test_captum_is_imported_only_when_it_is_called_for():
    files = [path for path in Path(methods.__file__).parents[1].rglob("*.py") if "captum" in path.read_text()]
    assert files
    for path in files:
        at_import = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert not any("captum" in ast.unparse(node) for node in at_import), path
