"""Augmenting joints, and bringing persons to one place and size."""

import numpy as np
import pytest
import torch

from stal.data.keypoint_transforms import KeypointAugment, normalize_persons
from stal.data.transforms import to_video_boxes
from stal.errors import ConfigError
from stal.structures import JOINTS, Clip

FRAMES, WIDTH = 3, 64


def clip(num_persons: int = 2) -> Clip:
    generator = torch.Generator().manual_seed(0)
    points = 5 + 40 * torch.rand(3, FRAMES, num_persons, 17, generator=generator)
    points[2] = torch.rand(FRAMES, num_persons, 17, generator=generator) > 0.3
    return Clip(
        frames=points,
        boxes=torch.tensor([3.0, 4, 20, 30]).expand(num_persons, FRAMES, 4),
        valid=torch.ones(num_persons, FRAMES, dtype=torch.bool),
        labels=torch.zeros(num_persons, dtype=torch.int64),
        actor_masks=None,
        video_key="v",
        frame_indices=torch.arange(FRAMES),
        to_video=torch.tensor([1.0, 1, 0, 0]),
        video_size=(48, WIDTH),
    )


def test_a_flip_mirrors_joints_and_boxes_and_swaps_sides() -> None:
    before = clip()
    after = KeypointAugment(flip=1.0)(before, np.random.default_rng(0))
    left, right = JOINTS.index("left_knee"), JOINTS.index("right_knee")
    torch.testing.assert_close(after.frames[0, :, :, left], WIDTH - before.frames[0, :, :, right])
    torch.testing.assert_close(after.frames[1:, :, :, left], before.frames[1:, :, :, right])
    torch.testing.assert_close(after.frames[0, :, :, 0], WIDTH - before.frames[0, :, :, 0])
    assert after.boxes[0, 0].tolist() == [44, 4, 61, 30]
    torch.testing.assert_close(to_video_boxes(after.boxes, after.to_video, after.video_size), before.boxes)


def test_a_flip_twice_changes_nothing() -> None:
    augment, generator = KeypointAugment(flip=1.0), np.random.default_rng(0)
    torch.testing.assert_close(augment(augment(clip(), generator), generator).frames, clip().frames)


def test_jitter_is_as_large_as_asked_and_leaves_scores() -> None:
    before, augment = clip(), KeypointAugment(flip=0.0, jitter=0.05)
    after = augment(before, np.random.default_rng(0))
    moved = (after.frames - before.frames)[:2].std()
    assert 0.7 * 0.05 * 40 < moved < 1.3 * 0.05 * 40  # persons are about 40 pixels tall
    torch.testing.assert_close(after.frames[2], before.frames[2])
    assert KeypointAugment(flip=0.0)(before, np.random.default_rng(0)) is before
    assert augment(clip(0), np.random.default_rng(0)).frames.shape == (3, FRAMES, 0, 17)


@pytest.mark.parametrize("arguments", [{"flip": 1.5}, {"jitter": -0.1}, {"jitter": float("nan")}])
def test_what_is_no_probability_or_distance_is_refused(arguments: dict) -> None:
    with pytest.raises(ConfigError, match="flip is a probability, and jitter must not be negative"):
        KeypointAugment(**arguments)


def test_a_person_has_the_same_points_wherever_it_is_and_however_large() -> None:
    points = clip().frames
    other = points.clone()
    other[:2] = 3 * other[:2] + torch.tensor([20.0, -7.0])[:, None, None, None]
    torch.testing.assert_close(normalize_persons(other), normalize_persons(points), atol=1e-5, rtol=1e-5)


def test_persons_are_normalised_one_by_one_on_all_frames_alike() -> None:
    points = torch.zeros(3, 2, 2, 17)
    points[:2, 0, 0, 0], points[:2, 0, 0, 1] = torch.tensor([10.0, 10]), torch.tensor([14.0, 30])
    points[:2, 1, 0, 0], points[:2, 1, 0, 1] = torch.tensor([20.0, 10]), torch.tensor([24.0, 30])
    points[2, :, 0, :2] = 0.5
    found = normalize_persons(points)  # the middle is (17, 20), and the unit 10 pixels
    torch.testing.assert_close(found[:, :, 0, 0], torch.tensor([[-0.7, 0.3], [-1.0, -1.0], [0.5, 0.5]]))
    assert not found[:, :, 0, 2:].any()
    assert not found[:, :, 1].any()  # nobody
    assert torch.isfinite(found).all()


def test_joints_that_are_not_there_change_nothing() -> None:
    points = clip().frames
    moved = points.clone()
    moved[:2] += 1000 * (points[2] == 0)
    torch.testing.assert_close(normalize_persons(moved), normalize_persons(points))


def test_one_joint_alone_is_finite() -> None:
    points = torch.zeros(3, 1, 1, 17)
    points[:, 0, 0, 3] = torch.tensor([7.0, 8.0, 1.0])
    assert normalize_persons(points)[:, 0, 0, 3].tolist() == [0, 0, 1]
    assert normalize_persons(torch.zeros(3, 2, 0, 17)).shape == (3, 2, 0, 17)
