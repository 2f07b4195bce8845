import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stal.errors import ConfigError
from stal.mixing.batch_mix import BatchMix
from stal.mixing.layers import add_provenance
from stal.mixing.still_mix import StillMix
from stal.structures import ClipBatch

SEEDS = st.integers(0, 1_000_000)
FRAMES, HEIGHT, WIDTH = 4, 5, 6


def batch_of(num_clips: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> ClipBatch:
    """Return clips of noise with an actor each."""
    generator = torch.Generator().manual_seed(seed)
    return ClipBatch(
        torch.randint(256, (num_clips, 3, FRAMES, HEIGHT, WIDTH), generator=generator).to(dtype),
        (torch.tensor([1.0, 1.0, 4.0, 3.0]).expand(1, FRAMES, 4),) * num_clips,
        (torch.ones(1, FRAMES, dtype=torch.bool),) * num_clips,
        tuple(torch.tensor([i]) for i in range(num_clips)),
        scenes=torch.arange(num_clips),
    )


def mix(batch: ClipBatch, seed: int = 0, **options) -> ClipBatch:
    return StillMix(**{"probability": 1.0, **options})(batch, torch.Generator().manual_seed(seed))


def share_of(mixed: torch.Tensor, clip: torch.Tensor) -> float:
    """Return lambda: a still has no part in how a clip changes."""
    changes, before = mixed[:, 1:] - mixed[:, :-1], clip[:, 1:] - clip[:, :-1]
    share = float((changes * before).sum() / before.square().sum())
    assert torch.allclose(changes, share * before, atol=1e-3)
    return share


@given(SEEDS, st.sampled_from([1.0, 200.0]))
@settings(max_examples=40, deadline=None)
def test_a_clip_is_mixed_with_one_frame_of_another(seed, alpha):
    batch = batch_of(3, seed)
    for host, (mixed, clip) in enumerate(zip(mix(batch, seed, alpha=alpha).clips, batch.clips, strict=True)):
        share = share_of(mixed, clip)
        assert 0 <= share <= 1
        still = mixed - share * clip
        others = [(1 - share) * batch.clips[i, :, t] for i in range(3) if i != host for t in range(FRAMES)]
        assert any(torch.allclose(still, frame[:, None].expand_as(still), atol=1e-2) for frame in others)


def test_lambda_is_drawn_for_each_clip_and_with_the_papers_alpha_close_to_one_half():
    batch = batch_of(40)
    shares = torch.tensor([share_of(m, c) for m, c in zip(mix(batch).clips, batch.clips, strict=True)])
    assert shares.mean() == pytest.approx(0.5, abs=0.02)
    assert shares.std() == pytest.approx(0.025, abs=0.01)


def test_the_still_is_any_frame_of_any_other_clip():
    batch = batch_of(3)
    of_value = 100.0 * torch.arange(3).view(-1, 1, 1, 1, 1) + 10.0 * torch.arange(FRAMES).view(1, 1, -1, 1, 1)
    batch = dataclasses.replace(
        batch, clips=of_value.expand_as(batch.clips) * (torch.arange(3) > 0).view(-1, 1, 1, 1, 1)
    )
    values = {round(float(mix(batch, seed, alpha=1e6).clips[0].mean()) / 5) for seed in range(100)}
    assert values == {10, 11, 12, 13, 20, 21, 22, 23}


@pytest.mark.parametrize("mask", ["box", "silhouette"])
def test_all_but_the_pixels_stays(mask):
    batch = batch_of(3)
    batch = dataclasses.replace(batch, actor_masks=(torch.rand(1, FRAMES, HEIGHT, WIDTH) < 0.5,) * 3)
    mixed, before = mix(batch, mask=mask), add_provenance(batch, mask)
    assert torch.equal(mixed.provenance, before.provenance)
    assert torch.equal(mixed.voxel_sources, before.voxel_sources)
    assert torch.equal(mixed.scenes, batch.scenes)
    for name in ("boxes", "valid", "labels", "sources", "label_weights", "actor_masks"):
        for left, right in zip(getattr(mixed, name), getattr(before, name), strict=True):
            assert torch.equal(left, right), name


def test_clips_of_bytes_are_rounded():
    exact, rounded = mix(batch_of(2)).clips, mix(batch_of(2, dtype=torch.uint8)).clips
    assert rounded.dtype == torch.uint8
    assert torch.equal(rounded, exact.round().byte())


def test_a_mixed_batch_can_be_mixed_and_keeps_who_was_pasted():
    pasted = BatchMix(probability=1.0)(batch_of(3), torch.Generator().manual_seed(0))
    mixed = mix(pasted)
    assert torch.equal(mixed.provenance, pasted.provenance)
    assert [sources.tolist() for sources in mixed.sources] == [sources.tolist() for sources in pasted.sources]
    share_of(mixed.clips[0], pasted.clips[0])


def test_a_clip_alone_is_not_mixed():
    assert torch.equal(mix(batch_of(1)).clips, batch_of(1).clips)


def test_about_the_asked_part_of_the_clips_is_mixed():
    batch = batch_of(200)
    mixed = (mix(batch, probability=0.3).clips != batch.clips).flatten(1).any(dim=1)
    assert 40 < int(mixed.sum()) < 80


@pytest.mark.parametrize(
    ("options", "message"), [({"probability": 1.1}, "probability is 1.1"), ({"alpha": 0.0}, "alpha is 0.0")]
)
def test_settings_out_of_range_are_an_error(options, message):
    with pytest.raises(ConfigError, match=f"StillMix: {message}"):
        StillMix(**options)
