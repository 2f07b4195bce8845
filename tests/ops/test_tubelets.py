"""Geometry of tubelets, against loops."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import box_iou, nms

from stal.ops.tubelets import clip_boxes, fill_frames, nms_per_class, tubelet_iou


def random_tubelets(num: int, frames: int, generator: torch.Generator) -> torch.Tensor:
    corners = torch.rand(num, frames, 2, 2, generator=generator) * 20
    return torch.cat([corners.amin(2), corners.amax(2) + 0.5], dim=-1)


def test_iou_is_the_mean_over_frames():
    generator = torch.Generator().manual_seed(0)
    a, b = random_tubelets(4, 3, generator), random_tubelets(5, 3, generator)
    expected = torch.stack([box_iou(a[:, t], b[:, t]) for t in range(3)]).mean(0)
    torch.testing.assert_close(tubelet_iou(a, b), expected)


def test_iou_of_empty_boxes_is_zero_and_of_nothing_is_empty():
    empty = torch.zeros(1, 2, 4)
    assert tubelet_iou(empty, empty).item() == 0
    assert tubelet_iou(torch.zeros(0, 2, 4), empty).shape == (0, 1)


@given(seed=st.integers(0, 10_000), num=st.integers(0, 12), num_classes=st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_nms_keeps_what_torchvision_keeps_in_each_class(seed, num, num_classes):
    generator = torch.Generator().manual_seed(seed)
    boxes = random_tubelets(num, 1, generator)
    scores = torch.rand(num, num_classes, generator=generator)
    kept = nms_per_class(tubelet_iou(boxes, boxes), scores, 0.3)
    for k in range(num_classes):
        assert set(kept[:, k].nonzero().flatten().tolist()) == set(nms(boxes[:, 0], scores[:, k], 0.3).tolist())


@pytest.mark.parametrize(
    ("valid", "source"),
    [
        ([1, 1, 1, 1], [0, 1, 2, 3]),
        ([0, 1, 0, 0], [1, 1, 1, 1]),
        ([1, 0, 0, 1], [0, 0, 3, 3]),
        ([1, 0, 1, 0], [0, 0, 2, 2]),
    ],
)
def test_missing_frames_take_the_nearest_box_and_the_earlier_of_two(valid, source):
    boxes = torch.arange(4.0)[None, :, None].expand(1, 4, 4).contiguous()
    filled = fill_frames(boxes, torch.tensor([valid], dtype=torch.bool))
    assert filled[0, :, 0].tolist() == source


def test_boxes_are_cut_to_the_image():
    boxes = torch.tensor([[-3.0, 2.0, 5.0, 99.0], [50.0, 60.0, 70.0, 80.0]])
    assert clip_boxes(boxes, 10, 20).tolist() == [[0, 2, 5, 10], [20, 10, 20, 10]]
