import pytest
import torch
from torch import Tensor, nn

from stal.attribution import gradient_tube, input_gradient
from stal.models.backbone import SlowFast
from stal.models.detector import TubeDetector

SIZE = (3, 4, 5, 6)
TUBELET = torch.tensor([1.0, 1.0, 4.0, 4.0]).repeat(SIZE[1], 1)


class LinearDetector(TubeDetector):
    """Its logit of a class is the inner product of the clip with the weights of the class."""

    def __init__(self, num_classes: int = 2) -> None:
        nn.Module.__init__(self)
        self.weights = nn.Parameter(torch.randn(num_classes, *SIZE, generator=torch.Generator().manual_seed(0)))
        self.dropout = nn.Dropout(0.5)

    def class_logits(self, clips: Tensor, tubelets: Tensor, clip_index: Tensor) -> Tensor:
        return self.dropout(clips[clip_index].flatten(1)) @ self.weights.flatten(1).T


@pytest.mark.parametrize("label", [0, 1])
def test_the_gradient_of_a_linear_logit_is_its_weights(label):
    detector = LinearDetector()
    gradient = input_gradient(detector, torch.randn(SIZE), TUBELET, label)
    torch.testing.assert_close(gradient, detector.weights[label].detach())


def test_it_is_taken_where_gradients_are_off_and_leaves_none_behind():
    detector, clip = LinearDetector(), torch.randn(SIZE)
    with torch.no_grad():
        gradient = input_gradient(detector, clip, TUBELET, 0)
    assert gradient.any() and not gradient.requires_grad
    assert detector.weights.grad is None
    assert not clip.requires_grad


@pytest.mark.parametrize("training", [True, False])
def test_the_training_mode_is_restored(training):
    detector = LinearDetector().train(training)
    input_gradient(detector, torch.randn(SIZE), TUBELET, 0)
    assert detector.training == detector.dropout.training == training


def test_the_training_mode_is_restored_after_an_error():
    detector = LinearDetector().train()
    with pytest.raises(IndexError):
        input_gradient(detector, torch.randn(SIZE), TUBELET, 2)
    assert detector.training


def test_a_part_of_the_detector_that_is_frozen_stays_so():
    detector = LinearDetector().train()
    detector.dropout.eval()
    input_gradient(detector, torch.randn(SIZE), TUBELET, 0)
    assert detector.training and not detector.dropout.training


def test_the_gradient_of_a_detector_is_that_of_finite_differences():
    torch.manual_seed(0)
    backbone = SlowFast(
        depth=18,
        width=8,
        channel_ratio=4,
        norm="group",
        fusion_kernel=3,
        spatial_strides=(1, 2, 1, 1),
        stem_kernels=((1, 3, 3), (3, 3, 3)),
    )
    detector = TubeDetector(backbone, num_classes=2, classifier={"bins": 3})
    clip, tubelet = torch.randn(3, 8, 32, 48), torch.tensor([4.0, 4.0, 30.0, 28.0]).repeat(8, 1)
    gradient = input_gradient(detector, clip, tubelet, 1)
    assert (gradient.abs().sum((0, 2, 3)) > 0).all()  # every frame has a part in it
    direction = gradient / gradient.norm()
    detector.eval()
    step, index = 0.01, torch.zeros(1, dtype=torch.int64)
    with torch.no_grad():
        above, below = (
            detector.class_logits((clip + sign * step * direction)[None], tubelet[None], index)[0, 1]
            for sign in (1, -1)
        )
    torch.testing.assert_close((above - below) / (2 * step), gradient.norm(), rtol=0.05, atol=0.0)


def test_shares_and_saliency_are_those_computed_by_hand():
    gradient = torch.zeros(2, 1, 2, 2)
    gradient[:, 0, 0, 0] = torch.tensor([3.0, -4.0])  # energy 25, saliency 7
    gradient[0, 0, 1, 1] = 5.0  # energy 25
    gradient[1, 0, 0, 1] = -1.0  # energy 1
    inside = torch.zeros(1, 2, 2, dtype=torch.bool)
    inside[0, 0] = True
    tube = gradient_tube(gradient, inside)
    assert tube.inside_share == pytest.approx(26 / 51)
    assert tube.volume_share == 0.5
    torch.testing.assert_close(tube.saliency, torch.tensor([[[1.0, 1 / 7], [0.0, 5 / 7]]]))


@pytest.mark.parametrize(("value", "share"), [(True, 1.0), (False, 0.0)])
def test_an_actor_that_is_everything_or_nothing(value, share):
    gradient = torch.randn(SIZE, generator=torch.Generator().manual_seed(0))
    tube = gradient_tube(gradient, torch.full(SIZE[1:], value))
    assert tube.inside_share == pytest.approx(share)
    assert tube.volume_share == share
    assert tube.saliency.max() == 1


def test_an_even_gradient_has_its_baseline_share():
    inside = torch.zeros(SIZE[1:], dtype=torch.bool)
    inside[:2, 1:3] = True
    tube = gradient_tube(torch.full(SIZE, -0.3), inside)
    assert tube.inside_share == pytest.approx(tube.volume_share)


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e-12, 1e12])
def test_the_size_of_a_gradient_does_not_matter(scale):
    gradient = torch.randn(SIZE, generator=torch.Generator().manual_seed(0))
    inside = torch.zeros(SIZE[1:], dtype=torch.bool)
    inside[0] = True
    tube, scaled = gradient_tube(gradient, inside), gradient_tube(scale * gradient, inside)
    if scale == 0:
        assert scaled.inside_share == 0 and not scaled.saliency.any()
    else:
        assert scaled.inside_share == pytest.approx(tube.inside_share, rel=1e-4)
        torch.testing.assert_close(scaled.saliency, tube.saliency)
