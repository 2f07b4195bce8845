import pytest
import torch
from torchvision.models.video import SwinTransformer3d, swin3d_t

from stal.errors import ShapeError
from stal.models.backbone import Swin3d


def own_name(name: str) -> str:
    return name.replace("norm.", "norm_last.", 1) if name.startswith("norm.") else name


def test_the_defaults_are_torchvisions_swin3d_t():
    with torch.device("meta"):
        published, backbone = swin3d_t(), Swin3d()
    assert {key: value.shape for key, value in backbone.state_dict().items()} == {
        own_name(key): value.shape for key, value in published.state_dict().items() if not key.startswith("head.")
    }
    for layer, of_published in zip(backbone.features, published.features, strict=True):
        for block, of_block in zip(layer.children(), of_published.children(), strict=True):
            if hasattr(block, "attn"):
                assert vars(block.attn)["shift_size"] == vars(of_block.attn)["shift_size"]
                assert block.attn.num_heads == of_block.attn.num_heads
    assert (backbone.slow_channels, backbone.fast_channels, backbone.fine_channels) == (384 + 768, 0, 96)


@pytest.mark.parametrize("size", [(8, 36, 48), (2, 64, 64), (6, 33, 65)])
def test_its_last_stage_is_that_of_torchvisions_network(build_backbone, size):
    backbone = build_backbone("Swin3d").eval()
    network = SwinTransformer3d([2, 4, 4], 4, [2, 2, 1, 1], [1, 1, 2, 2], [2, 2, 2]).eval()
    states = backbone.state_dict()
    network.load_state_dict(
        {key: states[own_name(key)] for key in network.state_dict() if not key.startswith("head.")}, strict=False
    )
    found = []
    network.norm.register_forward_hook(lambda *of_call: found.append(of_call[-1]))
    clips = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    network(clips)
    slow = backbone(clips).slow
    last = slow[:, backbone.slow_channels - 32 :, :, ::2, ::2]
    assert slow.shape[2:] == (size[0] // 2, -(-size[1] // 16), -(-size[2] // 16))
    assert torch.equal(last.permute(0, 2, 3, 4, 1), found[0])


def test_a_window_that_is_not_filled_would_get_other_relative_positions_and_is_refused(build_backbone):
    for size, is_taken in (((8, 33, 33), True), ((2, 33, 64), True), ((8, 32, 64), False), ((8, 64, 32), False)):
        backbone, clips = build_backbone("Swin3d"), torch.zeros(1, 3, *size)
        if is_taken:
            backbone(clips)
        else:
            with pytest.raises(ShapeError, match=f"{size[1]} x {size[2]} pixels .* at least 33 x 33"):
                backbone(clips)


def test_swin3d_t_takes_clips_from_193_pixels():
    with torch.device("meta"):
        backbone = Swin3d()
        with pytest.raises(ShapeError, match="at least 193 x 193"):
            backbone(torch.zeros(1, 3, 8, 192, 224))
