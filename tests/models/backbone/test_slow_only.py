import pytest
import torch
from jaxtyping import TypeCheckError
from pytorchvideo.models.resnet import create_resnet

from stal.errors import ConfigError
from stal.models.backbone import SlowOnly


def test_the_defaults_are_r50_8x8_by_pytorchvideos_names():
    with torch.device("meta"):
        published = create_resnet(model_depth=50, stem_conv_kernel_size=(1, 7, 7), head=None).state_dict()
        backbone = SlowOnly()
    assert {key: value.shape for key, value in backbone.state_dict().items()} == {
        key: value.shape for key, value in published.items()
    }
    assert (backbone.spatial_stride, backbone.fine_stride, len(backbone.slow_frames(32))) == (16, 4, 8)
    assert (backbone.slow_channels, backbone.fast_channels, backbone.fine_channels) == (2048, 0, 256)


def test_its_features_are_those_of_pytorchvideos_network_on_the_frames_that_it_sees(build_backbone):
    backbone = build_backbone("SlowOnly", norm="frozen_batch", spatial_strides=(1, 2, 2, 2), dilate_last=False).eval()
    network = create_resnet(
        model_depth=50, stem_dim_out=4, stem_conv_kernel_size=(1, 3, 3), head=None, norm=torch.nn.BatchNorm3d
    ).eval()
    network.load_state_dict(backbone.state_dict())
    clips = torch.randn(1, 3, 8, 32, 32, generator=torch.Generator().manual_seed(0))
    features = backbone(clips)
    assert features.slow.shape == (1, 128, 2, 1, 1) and features.fine.shape == (1, 16, 2, 8, 8)
    assert torch.equal(features.slow, network(clips[:, :, [0, 7]]))


@pytest.mark.parametrize(
    ("changes", "message"), [({"depth": 18}, "depth=18.*50, 101, 152"), ({"norm": "layer"}, "norm")]
)
def test_what_cannot_be_is_refused(build_backbone, changes, message):
    with pytest.raises((ConfigError, TypeCheckError), match=message):  # the second where types are checked
        build_backbone("SlowOnly", **changes)
