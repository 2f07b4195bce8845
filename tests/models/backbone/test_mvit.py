import pytest
import torch
from torchvision.models.video import MViT as TorchvisionMViT
from torchvision.models.video import mvit_v2_s

from stal.models.backbone import MViT
from stal.models.backbone.mvit import _block_settings

CLIPS = torch.randn(1, 3, 4, 64, 64, generator=torch.Generator().manual_seed(0))


def own_name(name: str) -> str:
    return name.replace("norm.", "norm_last.", 1) if name.startswith("norm.") else name


def test_the_defaults_are_torchvisions_mvit_v2_s():
    with torch.device("meta"):
        published, backbone = mvit_v2_s(stochastic_depth_prob=0.0), MViT()
    assert {key: value.shape for key, value in backbone.state_dict().items()} == {
        own_name(key): value.shape for key, value in published.state_dict().items() if not key.startswith("head.")
    }
    for block, of_published in zip(backbone.blocks, published.blocks, strict=True):
        assert str(block) == str(of_published)  # with every kernel and stride
        assert block.attn.num_heads == of_published.attn.num_heads
    assert (backbone.slow_channels, backbone.fast_channels, backbone.fine_channels) == (384 + 768, 0, 96)


def test_its_last_stage_is_that_of_torchvisions_network(build_backbone):
    """At the size that torchvision's is built for, which is the only one that it takes."""
    backbone = build_backbone("MViT").eval()
    network = TorchvisionMViT(
        spatial_size=(64, 64),
        temporal_size=4,
        block_setting=_block_settings(4, (1, 2, 2, 1)),
        residual_pool=True,
        residual_with_cls_embed=False,
        rel_pos_embed=True,
        proj_after_attn=True,
    ).eval()
    # Positions relative to each other are of the size that a network is built for: give it tables of the other one.
    for block, of_network in zip(backbone.blocks, network.blocks, strict=True):
        for axis in "thw":
            table = getattr(of_network.attn, f"rel_pos_{axis}")
            setattr(block.attn, f"rel_pos_{axis}", torch.nn.Parameter(torch.randn_like(table)))
    states = {own_name(key): value for key, value in network.state_dict().items() if not key.startswith("head.")}
    assert states.keys() == backbone.state_dict().keys()
    network.load_state_dict(
        {key: backbone.state_dict()[own_name(key)] for key in network.state_dict() if not key.startswith("head.")},
        strict=False,
    )
    found = []
    network.norm.register_forward_hook(lambda *of_call: found.append(of_call[-1]))
    network(CLIPS)
    slow = backbone(CLIPS).slow
    last = slow[:, backbone.slow_channels - 32 :, :, ::2, ::2]
    assert torch.equal(last.flatten(2).transpose(1, 2), found[0][:, 1:])


@pytest.mark.parametrize("size", [(2, 16, 16), (4, 40, 24), (6, 33, 65)])
def test_clips_of_any_size_are_taken(build_backbone, size):
    backbone = build_backbone("MViT").eval()
    frames, height, width = size
    features = backbone(torch.randn(1, 3, *size))
    assert features.slow.shape[2:] == (frames // 2, -(-height // 16), -(-width // 16))
    assert all(torch.isfinite(maps).all() for maps in (features.slow, features.fine))
