from collections.abc import Callable

import pytest
import torch
from jaxtyping import TypeCheckError
from pytorchvideo.models.slowfast import create_slowfast

from stal.errors import ConfigError
from stal.models.backbone import SlowFast

CLIPS = torch.randn(2, 3, 8, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def make_small(build_backbone) -> Callable[..., SlowFast]:
    """Return a function of the arguments to change."""
    return lambda **changes: build_backbone("SlowFast", **changes)


@pytest.fixture
def backbone(make_small) -> SlowFast:
    return make_small().eval()


def test_the_slow_pathway_can_see_other_clips(backbone):
    same, others = backbone(CLIPS, CLIPS), backbone(CLIPS, CLIPS.flip(0))
    for of_same, of_default in zip(same, backbone(CLIPS), strict=True):
        assert torch.equal(of_same, of_default)
    assert torch.equal(others.fast, same.fast) and torch.equal(others.fine, same.fine)
    assert not torch.isclose(others.slow, same.slow).all()


def test_of_the_slow_pathways_clips_only_its_frames_count(backbone):
    slow_clips = torch.zeros_like(CLIPS)
    frames = backbone.slow_frames(8)
    slow_clips[:, :, frames] = CLIPS[:, :, frames]
    assert torch.equal(backbone(CLIPS, slow_clips).slow, backbone(CLIPS).slow)


def test_the_defaults_are_r50_8x8_by_pytorchvideos_names():
    with torch.device("meta"):
        published = create_slowfast(model_depth=50, slowfast_fusion_conv_kernel_size=(7, 1, 1)).state_dict()
        own = SlowFast().state_dict()
    assert {key: value.shape for key, value in own.items()} == {
        key: value.shape for key, value in published.items() if not key.startswith(("blocks.5.", "blocks.6."))
    }


@pytest.mark.parametrize(
    ("changes", "depth", "fusion_kernel", "num_slow"),
    [
        ({}, 50, 7, 8),
        ({"alpha": 8, "fusion_kernel": 5}, 50, 5, 4),
        ({"depth": 101, "fusion_kernel": 5}, 101, 5, 8),
    ],
    ids=["r50_8x8", "r50_4x16", "r101_8x8"],
)
def test_the_published_networks_are_built(changes, depth, fusion_kernel, num_slow):
    with torch.device("meta"):
        backbone = SlowFast(**changes)
    third_stage = backbone.blocks[3].multipathway_blocks[0].res_blocks
    fusion = backbone.blocks[0].multipathway_fusion.conv_fast_to_slow
    assert len(third_stage) == {50: 6, 101: 23}[depth]
    assert (fusion.kernel_size, fusion.stride) == ((fusion_kernel, 1, 1), (backbone.alpha, 1, 1))
    assert (backbone.spatial_stride, backbone.fine_stride, len(backbone.slow_frames(32))) == (16, 4, num_slow)
    assert (backbone.slow_channels, backbone.fast_channels, backbone.fine_channels) == (2048, 256, 32)


def test_a_linear_fusion_is_a_convolution_alone(make_small):
    backbone = make_small(linear_fusion=True)
    fusions = [block.multipathway_fusion for block in backbone.blocks[:-1]]
    assert all(fusion.norm is None and fusion.activation is None for fusion in fusions)
    slow, fast = torch.zeros(1, 8, 2, 4, 4), torch.randn(1, 2, 8, 4, 4)
    fused, negative = (fusions[0]([slow, sign * fast])[0] for sign in (1, -1))
    torch.testing.assert_close(fused, -negative)


@pytest.mark.parametrize(
    ("sampling", "num_frames", "alpha", "expected"),
    [
        ("spread", 8, 4, [0, 7]),
        ("strided", 8, 4, [0, 4]),
        ("spread", 4, 4, [0]),
        ("strided", 4, 4, [0]),
        ("spread", 3, 1, [0, 1, 2]),
        ("spread", 32, 8, [0, 10, 20, 31]),
    ],
)
def test_the_slow_pathway_sees_frames_of_the_whole_clip(make_small, sampling, num_frames, alpha, expected):
    assert make_small(alpha=alpha, slow_sampling=sampling).slow_frames(num_frames).tolist() == expected


def test_channels_last_changes_the_layout_and_not_the_values(make_small):
    plain, last = (make_small(channels_last=last, norm="frozen_batch").eval() for last in (False, True))
    assert all(w.is_contiguous(memory_format=torch.channels_last_3d) for w in last.state_dict().values() if w.ndim == 5)
    seen = []
    for stem in last.blocks[0].multipathway_blocks:
        stem.conv.register_forward_pre_hook(lambda _, given: seen.extend(given))
    features = last(CLIPS)
    assert [clips.is_contiguous(memory_format=torch.channels_last_3d) for clips in seen] == [True, True]
    for of_last, of_plain in zip(features, plain(CLIPS), strict=True):
        torch.testing.assert_close(of_last, of_plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"norm": "layer"}, "norm"),
        ({"width": 9}, "multiple of channel_ratio=4"),
        ({"slow_sampling": "random"}, "slow_sampling"),
        ({"norm": "batch", "checkpoint_stages": True}, "count its clips twice"),
    ],
)
def test_what_cannot_be_is_refused(make_small, changes, message):
    with pytest.raises((ConfigError, TypeCheckError), match=message):  # the second where types are checked
        make_small(**changes)
