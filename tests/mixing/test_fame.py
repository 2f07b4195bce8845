import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stal.errors import ConfigError
from stal.mixing.fame import FAME, foreground_mask
from stal.structures import ClipBatch

SEEDS = st.integers(0, 1_000_000)
FRAMES, HEIGHT, WIDTH = 8, 40, 48
WAY = slice(12, 28)  # rows of what moves


def clip_of_a_walker(seed: int = 0) -> torch.Tensor:
    """Return a clip of bytes in which a block of bright noise walks over a dark scene that stands still."""
    generator = torch.Generator().manual_seed(seed)
    clip = torch.randint(40, (3, 1, HEIGHT, WIDTH), generator=generator).repeat(1, FRAMES, 1, 1)
    walker = torch.randint(200, 256, (3, 16, 12), generator=generator)
    for frame in range(FRAMES):
        clip[:, frame, WAY, 4 * frame : 4 * frame + 12] = walker
    return clip.byte()


def batch_of(*clips: torch.Tensor, boxes: list | None = None) -> ClipBatch:
    boxes = [torch.tensor(b).view(-1, 1, 4).repeat(1, clips[0].shape[1], 1) for b in boxes or [[]] * len(clips)]
    return ClipBatch(
        torch.stack(clips),
        tuple(boxes),
        tuple(torch.ones(b.shape[:2], dtype=torch.bool) for b in boxes),
        tuple(torch.arange(len(b)) for b in boxes),
        scenes=torch.arange(len(clips)) + 7,
    )


def mix(batch: ClipBatch, seed: int = 0, **options) -> ClipBatch:
    return FAME(**{"probability": 1.0, **options})(batch, torch.Generator().manual_seed(seed))


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_what_moves_is_foreground(seed):
    mask = foreground_mask(clip_of_a_walker(seed), 0.5)
    assert mask[WAY, 4:36].float().mean() > 0.98
    still = foreground_mask(clip_of_a_walker(seed), 0.25)
    assert still[WAY].sum() > 0.9 * still.sum()


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("size", [(3, 8, 40, 48), (3, 1, 5, 7), (1, 2, 3, 3), (2, 4, 1, 9)])
def test_the_foreground_has_its_share_of_the_pixels(share, size):
    frames = torch.randint(256, size, generator=torch.Generator().manual_seed(0)).byte()
    mask = foreground_mask(frames, share)
    assert mask.shape == size[2:]
    assert int(mask.sum()) == round(share * mask.numel())


def test_what_has_the_colour_of_what_moves_is_foreground_too():
    clip = clip_of_a_walker()[:, :1].repeat(1, FRAMES, 1, 1)
    clip[:, ::2, WAY, :36], clip[:, 1::2, WAY, :36] = 190, 210  # flickers
    clip[:, :, 3:11, 40:] = 200  # does not
    mask = foreground_mask(clip, 0.35)
    assert mask[WAY, :36].all() and mask[5:9, 42:46].all()
    assert not mask[32:, :].any()


def test_the_foreground_does_not_depend_on_the_range_of_the_values():
    clip = clip_of_a_walker()
    expected = foreground_mask(clip, 0.5)
    assert torch.equal(foreground_mask(clip.float(), 0.5), expected)
    assert torch.equal(foreground_mask(clip.float() / 64 - 2, 0.5), expected)


def test_the_foreground_is_seen_on_all_frames_of_the_other_clip():
    batch = batch_of(clip_of_a_walker(0), clip_of_a_walker(1).flip(2))
    mixed = mix(batch)
    mask = foreground_mask(batch.clips[0], 0.5).expand(FRAMES, -1, -1)
    assert torch.equal(mixed.clips[0], torch.where(mask, batch.clips[0], batch.clips[1]))
    assert torch.equal(mixed.voxel_sources[0], (~mask).short())
    assert mixed.scenes.tolist() == [8, 7]


def test_actors_of_both_clips_are_labelled_as_far_as_they_are_seen():
    walker, outside = [0.0, 12.0, 40.0, 28.0], [0.0, 34.0, 8.0, 40.0]
    hidden = [4.0, 14.0, 34.0, 26.0]
    batch = batch_of(
        clip_of_a_walker(0), torch.zeros_like(clip_of_a_walker()), boxes=[[walker, outside], [hidden, outside]]
    )
    mixed = mix(batch, foreground=0.25, min_visible=0.5)
    assert mixed.labels[0].tolist() == [1, 0] and mixed.sources[0].tolist() == [1, 0]
    assert torch.equal(mixed.boxes[0][0], batch.boxes[1][1])
    seen = foreground_mask(batch.clips[0], 0.25)
    cut = mixed.boxes[0][1, 0]
    assert (cut[:2] >= torch.tensor(walker[:2])).all() and (cut[2:] <= torch.tensor(walker[2:])).all()
    inside = torch.zeros_like(seen)
    inside[12:28, :40] = True
    assert torch.equal(mixed.provenance[0] == 2, (seen & inside).expand(FRAMES, -1, -1))


def test_a_clip_alone_is_not_mixed():
    batch = batch_of(clip_of_a_walker())
    assert torch.equal(mix(batch).clips, batch.clips)


def test_about_the_asked_part_of_the_clips_is_mixed():
    clips = [torch.full((3, 2, 4, 4), i, dtype=torch.uint8) for i in range(200)]
    batch = dataclasses.replace(batch_of(*clips), scenes=torch.arange(200))
    assert 40 < int((mix(batch, probability=0.3).scenes != batch.scenes).sum()) < 80


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"probability": 2.0}, "probability is 2.0"),
        ({"min_visible": -0.5}, "min_visible is -0.5"),
        ({"foreground": 0.0}, "foreground is 0.0"),
        ({"foreground": 1.0}, "foreground is 1.0"),
    ],
)
def test_settings_out_of_range_are_an_error(options, message):
    with pytest.raises(ConfigError, match=f"FAME: {message}"):
        FAME(**options)
