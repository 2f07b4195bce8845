import pytest
import torch

from stal.models.backbone import PathwayFeatures
from stal.models.fixed_proposals import fixed_proposals
from stal.models.proposals import KeyframeProposals


@pytest.fixture
def features() -> PathwayFeatures:
    generator = torch.Generator().manual_seed(0)
    slow, fast = torch.randn(3, 8, 2, 5, 7, generator=generator), torch.randn(3, 4, 8, 5, 7, generator=generator)
    return PathwayFeatures(slow, fast, torch.zeros(3, 1, 8, 20, 28))


def make_proposals(num_test: int, nms_iou: float, spread: float = 0.3) -> KeyframeProposals:
    """Proposals of a network whose boxes are spread over sizes and places."""
    torch.manual_seed(0)
    settings = {"channels": 8, "anchor_sizes": (16, 32), "aspect_ratios": (1.0, 2.0)}
    proposals = KeyframeProposals(in_channels=12, num_test=num_test, nms_iou=nms_iou, **settings)
    for layer in (proposals.rpn.head.cls_logits, proposals.rpn.head.bbox_pred):
        torch.nn.init.normal_(layer.weight, std=spread)
    return proposals.eval()


@pytest.mark.parametrize(
    ("num_test", "nms_iou", "num_boxes"),
    [
        (1, 0.5, 1),
        (8, 0.7, 8),
        (20, 0.3, 20),
        (50, 0.1, 50),
        (200, 0.5, 140),
    ],  # the last has 5 x 7 x 4 anchors, fewer than proposals asked for
)
def test_they_are_the_networks_in_its_order_and_then_others(features, num_test, nms_iou, num_boxes):
    proposals = make_proposals(num_test, nms_iou)
    boxes, is_proposed = fixed_proposals(proposals, features, (80, 112))
    assert boxes.shape == (3, num_boxes, 4)
    expected, _ = proposals(features, (80, 112))
    for own, known, count in zip(expected, boxes, is_proposed.sum(1).tolist(), strict=True):
        assert count == len(own) > 0
        torch.testing.assert_close(known[:count], own, rtol=0, atol=0)
    assert torch.equal(is_proposed, is_proposed.sort(dim=1, descending=True, stable=True).values)
    assert torch.isfinite(boxes).all()


def test_some_clips_have_fewer_than_there_is_room_for(features):
    _, is_proposed = fixed_proposals(make_proposals(50, 0.1), features, (80, 112))
    assert 0 < is_proposed.sum() < is_proposed.numel()


def test_boxes_without_extent_are_none_and_suppress_nothing(features):
    proposals = make_proposals(200, 0.5, spread=30.0)  # most boxes lie outside and are cut to nothing
    boxes, is_proposed = fixed_proposals(proposals, features, (80, 112))
    expected, _ = proposals(features, (80, 112))
    assert [len(own) for own in expected] == is_proposed.sum(1).tolist()
    sides = (boxes[..., 2:] - boxes[..., :2]).amin(-1)
    assert (sides[~is_proposed] == 0).any()
    assert (sides[is_proposed] > 0).all()
