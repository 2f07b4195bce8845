"""RoIAlign against torchvision's, and its first and second derivatives against finite differences."""

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from stal.errors import ShapeError
from stal.ops.roi_align import roi_align, tube_roi_align

SCALE = 0.25
BOXES = {
    "inside": [8.0, 12.0, 36.0, 30.0],
    "whole image": [0.0, 0.0, 52.0, 40.0],
    "over the top left corner": [-9.0, -7.0, 14.0, 11.0],
    "over the bottom right corner": [40.0, 30.0, 70.0, 55.0],
    "larger than the image": [-30.0, -30.0, 90.0, 80.0],
    "one pixel off every border": [-4.0, -4.0, 56.0, 44.0],
    "outside, left": [-60.0, 5.0, -30.0, 20.0],
    "outside, below": [5.0, 80.0, 20.0, 99.0],
    "touching the right border": [52.0, 10.0, 60.0, 20.0],
    "tiny": [20.1, 20.1, 20.3, 20.2],
    "zero area": [16.0, 16.0, 16.0, 16.0],
    "zero width": [16.0, 4.0, 16.0, 36.0],
    "flipped": [30.0, 30.0, 10.0, 12.0],
}
SETTINGS = [
    pytest.param(sampling_ratio, aligned, size, id=f"sampling {sampling_ratio}, aligned {aligned}, {size[0]}x{size[1]}")
    for sampling_ratio in (2, 1, 3, 0, -1)
    for aligned in (True, False)
    for size in ((7, 7), (1, 1), (2, 5))
]
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}


def make_features(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(0))


def torchvision_roi_align(
    features: Tensor, boxes: Tensor, batch_index: Tensor, output_size: tuple[int, int], **options: object
) -> Tensor:
    rois = torch.cat([batch_index[:, None].to(features.dtype), boxes.to(features.dtype)], dim=1)
    return torchvision.ops.roi_align(features, rois, output_size, **options)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("sampling_ratio", "aligned", "size"), SETTINGS)
def test_roi_align_equals_torchvision(
    sampling_ratio: int, aligned: bool, size: tuple[int, int], dtype: torch.dtype
) -> None:
    features = make_features(3, 2, 10, 13, dtype=dtype)
    boxes = torch.tensor(list(BOXES.values()), dtype=dtype)
    batch_index = torch.arange(len(boxes)) % 3
    options = {"spatial_scale": SCALE, "sampling_ratio": sampling_ratio, "aligned": aligned}

    ours = roi_align(features, boxes, batch_index, size, **options)

    theirs = torchvision_roi_align(features, boxes, batch_index, size, **options)
    for name, our, their in zip(BOXES, ours, theirs, strict=True):
        torch.testing.assert_close(our, their, rtol=0, atol=TOLERANCE[dtype], msg=lambda text, n=name: f"{n}: {text}")


@settings(max_examples=100, deadline=None, derandomize=True)  # a sample on a border may round either way
@given(
    corners=st.lists(
        st.tuples(*[st.floats(-80, 120)] * 4).map(
            lambda c: [min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]), max(c[1], c[3])]
        ),
        min_size=1,
        max_size=4,
    ),
    sampling_ratio=st.integers(-1, 3),
    aligned=st.booleans(),
)
def test_roi_align_equals_torchvision_on_any_box(
    corners: list[list[float]], sampling_ratio: int, aligned: bool
) -> None:
    features = make_features(1, 1, 10, 13)
    boxes = torch.tensor(corners, dtype=torch.float64)
    batch_index = torch.zeros(len(boxes), dtype=torch.int64)
    options = {"spatial_scale": SCALE, "sampling_ratio": sampling_ratio, "aligned": aligned}
    ours = roi_align(features, boxes, batch_index, (3, 2), **options)
    theirs = torchvision_roi_align(features, boxes, batch_index, (3, 2), **options)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sampling_ratio", [2, 0])
def test_roi_align_has_torchvisions_gradient(sampling_ratio: int) -> None:
    features = make_features(3, 2, 10, 13).requires_grad_()
    boxes = torch.tensor(list(BOXES.values()), dtype=torch.float64)
    batch_index = torch.arange(len(boxes)) % 2  # image 2 has no box
    weights = make_features(len(boxes), 2, 7, 7)
    gradients = [
        torch.autograd.grad(
            (
                pool(
                    features,
                    boxes,
                    batch_index,
                    (7, 7),
                    spatial_scale=SCALE,
                    sampling_ratio=sampling_ratio,
                    aligned=True,
                )
                * weights
            ).sum(),
            features,
        )[0]
        for pool in (roi_align, torchvision_roi_align)
    ]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("sampling_ratio", "aligned"), [(2, True), (2, False), (0, True)])
def test_roi_align_is_twice_differentiable(sampling_ratio: int, aligned: bool) -> None:
    features = make_features(2, 2, 4, 5).requires_grad_()
    boxes = torch.tensor([[2.0, 1.0, 14.0, 15.0], [-6.0, 3.0, 9.0, 30.0], [3.0, 3.0, 9.0, 9.0]], dtype=torch.float64)
    batch_index = torch.tensor([1, 0, 1])

    def pool(values: Tensor) -> Tensor:
        pooled = roi_align(
            values, boxes, batch_index, (2, 3), spatial_scale=SCALE, sampling_ratio=sampling_ratio, aligned=aligned
        )
        return pooled.square()  # RoIAlign is linear: its own second derivative is zero

    assert gradcheck(pool, (features,), check_forward_ad=True)
    assert gradgradcheck(pool, (features,))


def test_tube_roi_align_is_twice_differentiable() -> None:
    features = make_features(2, 2, 3, 4, 5).requires_grad_()
    tubelets = torch.tensor([[2.0, 1.0, 14.0, 15.0], [-6.0, 3.0, 9.0, 30.0]], dtype=torch.float64)[:, None]
    tubelets = tubelets + torch.tensor([0.0, 2.0, 4.0], dtype=torch.float64)[:, None]

    def pool(values: Tensor) -> Tensor:
        return tube_roi_align(values, tubelets, torch.tensor([1, 0]), (2, 3), spatial_scale=SCALE).square()

    assert gradcheck(pool, (features,), check_forward_ad=True)
    assert gradgradcheck(pool, (features,))


@pytest.mark.parametrize("batch_index", [[0, 0, 1, 1, 1], [1, 0, 1, 1, 0], [1, 1, 1, 1, 1]])
@pytest.mark.parametrize("sampling_ratio", [2, 0])
def test_tube_roi_align_equals_torchvision_frame_by_frame(batch_index: list[int], sampling_ratio: int) -> None:
    features = make_features(2, 3, 4, 10, 13)
    boxes = torch.tensor(list(BOXES.values())[:5], dtype=torch.float64)
    tubelets = boxes[:, None] + torch.tensor([0.0, 1.5, 3.0, -2.0], dtype=torch.float64)[:, None]
    clips = torch.tensor(batch_index)

    pooled = tube_roi_align(features, tubelets, clips, (7, 5), spatial_scale=SCALE, sampling_ratio=sampling_ratio)

    options = {"spatial_scale": SCALE, "sampling_ratio": sampling_ratio, "aligned": True}
    for frame in range(4):
        expected = torchvision_roi_align(features[:, :, frame], tubelets[:, frame], clips, (7, 5), **options)
        torch.testing.assert_close(pooled[:, :, frame], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("num_each", [0, 1, 3])
@pytest.mark.parametrize("sampling_ratio", [2, 0])
def test_clips_with_equally_many_tubelets_need_no_index(num_each: int, sampling_ratio: int) -> None:
    features = make_features(2, 3, 4, 10, 13).requires_grad_()
    tubelets = torch.tensor(list(BOXES.values()))[: 2 * num_each, None].repeat(1, 4, 1) + torch.arange(4.0).view(4, 1)
    index = torch.arange(2).repeat_interleave(num_each)
    found, expected = (
        tube_roi_align(features, tubelets, clips, (7, 5), spatial_scale=SCALE, sampling_ratio=sampling_ratio)
        for clips in (None, index)
    )
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(found)
    torch.testing.assert_close(*(torch.autograd.grad(pooled, features, weights)[0] for pooled in (found, expected)))


def test_clips_with_different_numbers_of_tubelets_need_an_index() -> None:
    with pytest.raises(ShapeError, match="a multiple of 2, the number of clips"):
        tube_roi_align(make_features(2, 3, 4, 10, 13), torch.zeros(3, 4, 4), None, (7, 5), spatial_scale=SCALE)


@pytest.mark.parametrize("sampling_ratio", [2, 0])
def test_no_rois_give_empty_features_and_a_zero_gradient(sampling_ratio: int) -> None:
    features = make_features(2, 3, 4, 6, 5).requires_grad_()
    none = torch.zeros(0, dtype=torch.int64)
    options = {"spatial_scale": 0.5, "sampling_ratio": sampling_ratio}
    of_image = roi_align(features[:, :, 0], torch.zeros(0, 4), none, (7, 6), **options)
    of_clip = tube_roi_align(features, torch.zeros(0, 4, 4), none, (7, 6), **options)
    assert of_image.shape == (0, 3, 7, 6)
    assert of_clip.shape == (0, 3, 4, 7, 6)
    (gradient,) = torch.autograd.grad(of_image.sum() + of_clip.sum(), features)
    assert not gradient.any()


def test_boxes_are_constants() -> None:
    boxes = torch.tensor([[2.0, 1.0, 14.0, 15.0]], requires_grad=True)
    pooled = roi_align(make_features(1, 2, 4, 5), boxes, torch.tensor([0]), (2, 2), spatial_scale=SCALE)
    assert not pooled.requires_grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_autocast_pools_in_float32_and_keeps_the_dtype(dtype: torch.dtype) -> None:
    features = make_features(1, 2, 10, 13).to(dtype)
    boxes = torch.tensor([BOXES["inside"], BOXES["whole image"]])
    batch_index = torch.tensor([0, 0])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pooled = roi_align(features, boxes, batch_index, (3, 3), spatial_scale=SCALE)
    exact = roi_align(features.float(), boxes, batch_index, (3, 3), spatial_scale=SCALE)
    assert pooled.dtype == dtype
    torch.testing.assert_close(pooled, exact.to(dtype), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("boxes", "batch_index", "size", "message"),
    [
        pytest.param([[0.0, 0.0, 4.0, 4.0]], [2], (7, 7), "runs from 2 to 2.*0 to 1", id="image past the last"),
        pytest.param([[0.0, 0.0, 4.0, 4.0]], [-1], (7, 7), "runs from -1", id="negative image"),
        pytest.param([[0.0, 0.0, 4.0, 4.0]], [0], (7, 0), "at least one bin", id="no bins"),
        pytest.param([[0.0, 0.0, 4.0, 4.0], [0.0, float("nan"), 4.0, 4.0]], [0, 1], (7, 7), "RoI 1", id="nan"),
        pytest.param([[0.0, 0.0, float("inf"), 4.0]], [0], (7, 7), "not finite", id="inf"),
    ],
)
def test_roi_align_refuses(
    boxes: list[list[float]], batch_index: list[int], size: tuple[int, int], message: str
) -> None:
    with pytest.raises(ShapeError, match=message):
        roi_align(make_features(2, 1, 4, 4), torch.tensor(boxes), torch.tensor(batch_index), size, spatial_scale=SCALE)


def test_tube_roi_align_refuses_boxes_on_other_frames() -> None:
    features = make_features(1, 1, 4, 4, 4)
    with pytest.raises((ShapeError, TypeCheckError)):  # the second where signatures are checked, as in these tests
        tube_roi_align(features, torch.zeros(2, 8, 4), torch.tensor([0, 0]), (7, 7), spatial_scale=SCALE)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_roi_align_on_the_gpu_equals_the_cpu() -> None:
    features = make_features(3, 2, 10, 13)
    boxes = torch.tensor(list(BOXES.values()), dtype=torch.float64)
    batch_index = torch.arange(len(boxes)) % 3
    on_cpu, on_gpu = (
        roi_align(features.to(d), boxes.to(d), batch_index.to(d), (7, 7), spatial_scale=SCALE) for d in ("cpu", "cuda")
    )
    torch.testing.assert_close(on_gpu.cpu(), on_cpu, rtol=0, atol=1e-12)
