import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stal.data import transforms
from stal.errors import ConfigError, ShapeError
from stal.ops.masks import box_masks
from stal.structures import Clip

HEIGHT, WIDTH, FRAMES = 12, 16, 3


def make_clip(boxes=((2.0, 3.0, 6.0, 9.0), (10.0, 1.0, 15.0, 11.0)), masks=True, seed=0) -> Clip:
    frames = torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (3, FRAMES, HEIGHT, WIDTH), np.uint8))
    tensor = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 1, 4).repeat(1, FRAMES, 1)
    return Clip(
        frames=frames,
        boxes=tensor,
        valid=torch.ones(len(tensor), FRAMES, dtype=torch.bool),
        labels=torch.arange(len(tensor)),
        actor_masks=box_masks(tensor, HEIGHT, WIDTH) if masks else None,
        video_key="v",
        frame_indices=torch.arange(FRAMES),
        to_video=torch.tensor([1.0, 1.0, 0.0, 0.0]),
        video_size=(HEIGHT, WIDTH),
    )


def boxes_in_video(clip: Clip) -> torch.Tensor:
    return transforms.to_video_boxes(clip.boxes, clip.to_video, clip.video_size)


def assert_clips_equal(a: Clip, b: Clip) -> None:
    for field in dataclasses.fields(Clip):
        left, right = getattr(a, field.name), getattr(b, field.name)
        assert torch.equal(left, right) if isinstance(left, torch.Tensor) else left == right, field.name


@pytest.mark.parametrize(("height", "width"), [(24, 32), (6, 8), (9, 40), (1, 1)])
def test_resizing_scales_everything_and_leads_back_to_the_video(height, width):
    clip = make_clip()
    resized = transforms.resize_clip(clip, height, width)
    assert resized.frames.shape == (3, FRAMES, height, width) and resized.frames.dtype == torch.uint8
    assert resized.actor_masks.shape == (2, FRAMES, height, width)
    torch.testing.assert_close(boxes_in_video(resized), clip.boxes)


def test_resizing_by_a_whole_factor_repeats_every_mask_voxel():
    clip = make_clip()
    resized = transforms.resize_clip(clip, 2 * HEIGHT, 3 * WIDTH)
    expected = clip.actor_masks.repeat_interleave(2, dim=2).repeat_interleave(3, dim=3)
    assert torch.equal(resized.actor_masks, expected)


def test_resized_silhouettes_stay_inside_their_resized_boxes():
    clip = transforms.resize_clip(make_clip(), 7, 11)
    assert not (clip.actor_masks & ~box_masks(clip.boxes, 7, 11)).any()


def test_resizing_to_its_own_size_changes_nothing():
    clip = make_clip()
    assert_clips_equal(transforms.resize_clip(clip, HEIGHT, WIDTH), clip)


def test_a_crop_moves_frames_boxes_and_silhouettes_together():
    clip = make_clip()
    crop = transforms.crop_clip(clip, 2, 1, 8, 10)
    assert torch.equal(crop.frames, clip.frames[:, :, 2:10, 1:11])
    assert torch.equal(crop.actor_masks, clip.actor_masks[:, :, 2:10, 1:11])
    assert crop.boxes[:, 0].tolist() == [[1, 1, 5, 7], [9, 0, 10, 8]]
    assert boxes_in_video(crop)[:, 0].tolist() == [[2, 3, 6, 9], [10, 2, 11, 10]]


@pytest.mark.parametrize(
    ("box", "cut"),
    [
        ([2, 3, 6, 9], [2, 3, 6, 9]),  # inside
        ([-2, 3, 99, 9], [0, 3, 16, 9]),
        ([-3, 3, 1, 9], [0, 3, 1, 9]),  # one pixel is left
        ([-3, 3, 0.75, 9], None),  # less than a pixel of width
        ([15.25, 3, 20, 9], None),
        ([2, 11.5, 6, 20], None),  # less than a pixel of height
        ([16, 3, 20, 9], None),  # touches the image
        ([-9, 3, -2, 9], None),  # outside
        ([2, 3, 2.5, 9], [2, 3, 2.5, 9]),  # not cut
        ([-0.25, 3, 0.5, 9], [0, 3, 0.5, 9]),  # less than a pixel wide before too
        ([-0.5, 3, 0, 9], None),
        ([-3, 3, 0.5, 3.5], None),  # its height was that small, its width was not
        ([-3, 3, 2, 3.5], [0, 3, 2, 3.5]),
    ],
)
def test_a_cut_that_leaves_less_than_a_pixel_leaves_nothing(box, cut):
    boxes = torch.tensor([box, box], dtype=torch.float32)
    boxes, valid = transforms.cut_boxes(boxes, torch.tensor([True, False]), HEIGHT, WIDTH)
    assert boxes.tolist() == [cut or [0] * 4, [0] * 4]
    assert valid.tolist() == [cut is not None, False]


def test_no_boxes_are_cut_to_none():
    boxes, valid = transforms.cut_boxes(torch.zeros(0, 3, 4), torch.zeros(0, 3, dtype=torch.bool), HEIGHT, WIDTH)
    assert boxes.shape == (0, 3, 4) and valid.shape == (0, 3)


def test_an_actor_of_whom_a_window_shows_half_a_pixel_is_dropped():
    clip = make_clip(boxes=((2.0, 3.0, 6.5, 9.0), (10.0, 1.0, 15.0, 11.0)))
    assert transforms.crop_clip(clip, 0, 6, HEIGHT, 10).labels.tolist() == [1]


def test_an_actor_outside_the_window_is_dropped_with_its_label_and_silhouette():
    crop = transforms.crop_clip(make_clip(), 0, 6, HEIGHT, 10)  # touches the first box
    assert crop.labels.tolist() == [1]
    assert crop.boxes.shape == (1, FRAMES, 4) and crop.actor_masks.shape == (1, FRAMES, HEIGHT, 10)


def test_an_actor_is_not_valid_on_the_frames_on_which_the_window_misses_it():
    clip = make_clip(masks=False)
    boxes = clip.boxes.clone()
    boxes[0, 1] += 8
    crop = transforms.crop_clip(dataclasses.replace(clip, boxes=boxes), 0, 0, HEIGHT, 8)
    assert crop.labels.tolist() == [0]
    assert crop.valid.tolist() == [[True, False, True]]
    assert not crop.boxes[0, 1].any()


def test_a_window_beyond_the_clip_is_black_there():
    clip = make_clip()
    crop = transforms.crop_clip(clip, -2, -3, HEIGHT + 5, WIDTH + 4)
    assert torch.equal(crop.frames[:, :, 2:-3, 3:-1], clip.frames)
    assert crop.frames.sum() == clip.frames.sum() and crop.actor_masks.sum() == clip.actor_masks.sum()
    assert torch.equal(boxes_in_video(crop), clip.boxes)


def test_a_window_without_a_pixel_of_the_clip_is_an_error():
    with pytest.raises(ShapeError, match="clip of v: a window of 4 x 4 at row 12, column 0"):
        transforms.crop_clip(make_clip(), HEIGHT, 0, 4, 4)


def test_a_flip_mirrors_frames_boxes_and_silhouettes():
    clip = make_clip()
    flipped = transforms.flip_clip(clip)
    assert torch.equal(flipped.frames, clip.frames.flip(-1))
    assert torch.equal(flipped.actor_masks, box_masks(flipped.boxes, HEIGHT, WIDTH))
    assert flipped.to_video.tolist() == [-1, 1, WIDTH, 0]
    assert torch.equal(boxes_in_video(flipped), clip.boxes)


def test_flipping_twice_changes_nothing():
    clip = transforms.crop_clip(make_clip(), 1, 2, 9, 9)
    assert_clips_equal(transforms.flip_clip(transforms.flip_clip(clip)), clip)


def test_a_flip_keeps_missing_boxes_zero():
    clip = make_clip(masks=False)
    valid = clip.valid.clone()
    valid[0, 0] = False
    clip = dataclasses.replace(clip, valid=valid, boxes=clip.boxes * valid[..., None])
    assert not transforms.flip_clip(clip).boxes[0, 0].any()


def test_boxes_in_the_video_are_cut_to_it():
    boxes = torch.tensor([[-4.0, 2.0, 5.0, 99.0]])
    to_video = torch.tensor([2.0, 1.0, 1.0, 0.0])
    assert transforms.to_video_boxes(boxes, to_video, (20, 30)).tolist() == [[0, 2, 11, 20]]


@pytest.mark.parametrize("scale_x", [2.0, -0.5])
def test_boxes_of_the_video_come_back_from_a_clip_flipped_or_not(scale_x):
    boxes, to_video = (
        torch.tensor([[3.0, 2.0, 5.0, 9.0], [0.0, 0.0, 0.0, 0.0]]),
        torch.tensor([scale_x, 3.0, 10.0, 0.0]),
    )
    boxes_clip = transforms.to_clip_boxes(boxes, to_video)
    assert (boxes_clip[:, :2] <= boxes_clip[:, 2:]).all()
    torch.testing.assert_close(transforms.to_video_boxes(boxes_clip, to_video, (20, 30)), boxes)


def test_colours_change_by_one_draw_for_the_whole_clip_without_touching_the_input():
    clip = make_clip()
    before = clip.frames.clone()
    jittered = transforms.jitter_colour(clip, np.random.default_rng(3), 0.4, 0.3, 0.2).frames
    assert torch.equal(clip.frames, before)

    draws = np.random.default_rng(3).uniform([0.6, 0.7, 0.8], [1.4, 1.3, 1.2])
    luma = np.array([0.299, 0.587, 0.114])
    rgb = before.permute(1, 2, 3, 0).double().numpy()
    mean_grey = (rgb @ luma).mean()
    rgb = draws[0] * (draws[1] * rgb + (1 - draws[1]) * mean_grey)
    grey = (rgb @ luma)[..., None]
    expected = (draws[2] * rgb + (1 - draws[2]) * grey).clip(0, 255)
    assert np.abs(jittered.permute(1, 2, 3, 0).numpy() - expected).max() <= 1


def test_colour_strengths_of_zero_change_nothing():
    clip = make_clip()
    assert torch.equal(transforms.jitter_colour(clip, np.random.default_rng(0), 0.0, 0.0, 0.0).frames, clip.frames)


def test_what_comes_without_actors_knows_nothing_of_them():
    seen = []

    def note(clip, generator):
        seen.append(clip)
        return transforms.flip_clip(clip)

    clip = make_clip()
    assert len(clip.labels)
    unseen = transforms.WithoutActors(note)(clip, np.random.default_rng(0))
    for part in (*seen, unseen):
        assert (len(part.boxes), len(part.valid), len(part.labels), part.actor_masks) == (0, 0, 0, None)
    assert torch.equal(unseen.frames, clip.frames.flip(-1))


def test_the_test_transform_stretches_to_its_size():
    clip = transforms.TestTransform((8, 8))(make_clip(), np.random.default_rng(0))
    assert clip.frames.shape == (3, FRAMES, 8, 8)
    assert clip.to_video.tolist() == [2, 1.5, 0, 0]


@given(st.integers(0, 10_000), st.booleans())
@settings(max_examples=50, deadline=None)
def test_training_clips_have_one_size_keep_an_actor_whole_and_lead_back_to_the_video(seed, masks):
    clip = make_clip(masks=masks)
    out = transforms.TrainTransform((10, 14))(clip, np.random.default_rng(seed))
    assert out.frames.shape == (3, FRAMES, 10, 14) and out.frames.dtype == torch.uint8
    found = boxes_in_video(out)
    errors = [(found[row] - clip.boxes[label]).abs().max() for row, label in enumerate(out.labels.tolist())]
    assert min(errors) < 1e-4
    if masks:
        assert not (out.actor_masks & ~box_masks(out.boxes, 10, 14)).any()


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_all_actors_are_kept_whole_when_a_window_can_hold_them(seed):
    clip = make_clip(boxes=((6.0, 4.0, 8.0, 8.0), (7.0, 4.0, 11.0, 9.0)))
    out = transforms.TrainTransform((12, 16))(clip, np.random.default_rng(seed))
    torch.testing.assert_close(boxes_in_video(out), clip.boxes, atol=1e-4, rtol=0)


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_one_of_two_actors_in_opposite_corners_is_kept_whole(seed):
    clip = make_clip(boxes=((0.0, 0.0, 2.0, 2.0), (14.0, 10.0, 16.0, 12.0)))
    out = transforms.TrainTransform((6, 8), scale=(2.0, 2.0))(clip, np.random.default_rng(seed))
    torch.testing.assert_close(boxes_in_video(out), clip.boxes[out.labels])
    assert len(out.labels) == 1


def test_the_same_generator_state_gives_the_same_training_clip():
    transform = transforms.TrainTransform((10, 14))
    first, again, other = (transform(make_clip(), np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert_clips_equal(first, again)
    assert not torch.equal(first.frames, other.frames)


def test_a_training_clip_without_actors_stays_without():
    out = transforms.TrainTransform((10, 14))(make_clip(boxes=()), np.random.default_rng(0))
    assert out.frames.shape == (3, FRAMES, 10, 14) and len(out.labels) == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scale": (1.2, 0.8)}, "scale"),
        ({"flip_probability": 1.5}, "flip_probability 1.5"),
        ({"contrast": -1.0}, "contr"),
    ],
)
def test_settings_out_of_range_are_an_error(settings, message):
    with pytest.raises(ConfigError, match=message):
        transforms.TrainTransform((8, 8), **settings)
