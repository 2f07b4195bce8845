"""Networks of other projects give the same numbers, to the last bit, as the backbones with their converted weights."""

import re

import pytest
import torch
from pytorchvideo.models.resnet import create_resnet
from pytorchvideo.models.slowfast import create_slowfast, create_slowfast_with_roi_head
from torchvision.models.video import mvit_v2_s

from stal.errors import CheckpointError
from stal.models.backbone import MViT, SlowFast, SlowOnly
from stal.models.weights.convert import ConvertedWeights, convert_weights
from stal.models.weights.recipe import Recipe

CLASSIFIER = {"spatial_strides": (1, 2, 2, 2), "dilate_last": False}
IMAGENET = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def build(converted: ConvertedWeights, **arguments):
    backbone = converted.kind(**{**converted.network, **arguments})
    backbone.load_state_dict(converted.backbone)
    return backbone.eval()


def logits_of(converted: ConvertedWeights, maps) -> torch.Tensor:
    pooled = torch.cat([each.mean((2, 3, 4)) for each in maps], 1)
    return torch.nn.functional.linear(pooled, converted.head["weight"], converted.head["bias"])


@torch.no_grad()
def assert_same(network, converted: ConvertedWeights, clips, **arguments) -> None:
    maps, logits = network(clips)
    own = build(converted, **arguments)(clips).coarse
    assert len(own) == len(maps)
    for ours, theirs in zip(own, maps, strict=True):
        assert theirs.std() > 0.1
        assert (ours - theirs).abs().max() == 0.0
    torch.testing.assert_close(logits_of(converted, own), logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("alpha", [4, 8])
@pytest.mark.parametrize("depth", [18, 50])
def test_pyslowfast_gives_the_same_features(make_pyslowfast, clips, depth, alpha):
    network = make_pyslowfast(depth=depth, alpha=alpha)
    converted = convert_weights(network.state_dict(), alpha=alpha)
    assert (converted.project, converted.kind, converted.is_detection) == ("PySlowFast", SlowFast, False)
    assert converted.network == {
        "depth": depth,
        "width": 8,
        "channel_ratio": 4,
        "stem_kernels": ((1, 7, 7), (5, 7, 7)),
        "fusion_kernel": 5,
        "linear_fusion": False,
        "alpha": alpha,
        "slow_sampling": "spread",
    }
    assert_same(network, converted, clips, **CLASSIFIER)


def test_a_detector_of_pyslowfast_dilates(make_pyslowfast, clips):
    network = make_pyslowfast(detector=True, kernel=7)
    converted = convert_weights(network.state_dict(), Recipe(alpha=4, is_detection=True))
    assert converted.is_detection and converted.network["dilate_last"] is True
    assert_same(network, converted, clips)


@pytest.mark.parametrize("depth", [18, 50])
def test_caffe2_gives_the_same_features(make_pyslowfast, name_as_caffe2, clips, depth):
    network = make_pyslowfast(depth=depth)
    blobs = name_as_caffe2(network) | {"lr": torch.tensor(0.1), "model_iter": torch.tensor(3.0)}
    converted = convert_weights(blobs, alpha=4)
    assert converted.project == "PySlowFast (caffe2)"
    assert {"lr", "model_iter", "conv1_w_momentum"} < set(converted.left_out)
    assert_same(network, converted, clips, **CLASSIFIER)


@pytest.mark.parametrize("alpha", [4, 8])
@pytest.mark.parametrize("depth", [18, 50])
def test_mmaction2_gives_the_same_features(make_mmaction2, clips, depth, alpha):
    network = make_mmaction2(depth=depth, alpha=alpha)
    converted = convert_weights(network.state_dict(), alpha=alpha)
    assert converted.network["linear_fusion"] is True and converted.network["slow_sampling"] == "strided"
    assert (converted.mean, converted.std) == IMAGENET
    assert_same(network, converted, clips, **CLASSIFIER)


def test_a_detector_of_mmaction2_neither_strides_nor_dilates_and_knows_a_background(make_mmaction2, clips):
    network = make_mmaction2(detector=True)
    converted = convert_weights(network.state_dict(), alpha=4)
    assert converted.is_detection and converted.network["dilate_last"] is False
    assert len(converted.head["bias"]) == len(network.roi_head.bbox_head.fc_cls.bias) - 1
    assert_same(network, converted, clips)


def test_slow_networks_have_one_pathway(make_pyslowfast, make_mmaction2, name_as_caffe2, clips):
    pyslowfast, mmaction2 = (make(depth=50, two=False) for make in (make_pyslowfast, make_mmaction2))
    for network, weights, sampling in (
        (pyslowfast, pyslowfast.state_dict(), "spread"),
        (pyslowfast, name_as_caffe2(pyslowfast), "spread"),
        (mmaction2, mmaction2.state_dict(), "strided"),
    ):
        converted = convert_weights(weights)
        assert (converted.kind, converted.network) == (SlowOnly, {"depth": 50, "width": 8, "stem_kernel": (1, 7, 7)})
        assert_same(network, converted, clips, slow_sampling=sampling, **CLASSIFIER)


def test_pytorchvideo_keeps_its_names(randomized, clips):
    network = randomized(
        create_slowfast(
            model_depth=18,
            slowfast_channel_reduction_ratio=(4,),
            stem_dim_outs=(8, 2),
            model_num_class=5,
            slowfast_fusion_conv_kernel_size=(5, 1, 1),
        )
    )
    weights = network.state_dict()
    converted = convert_weights(weights, alpha=4)
    assert converted.project == "pytorchvideo"
    assert all(torch.equal(weights[name], weight) for name, weight in converted.backbone.items())
    assert torch.equal(converted.head["weight"], weights["blocks.6.proj.weight"])
    backbone = build(converted, **CLASSIFIER)
    maps = [clips.index_select(2, backbone.slow_frames(16)), clips]
    with torch.no_grad():
        for block in network.blocks[:5]:
            maps = block(maps)
        assert all(torch.equal(*both) for both in zip(backbone(clips).coarse, maps, strict=True))


def test_the_names_of_pytorchvideos_detectors_and_slow_networks_are_known(randomized):
    slow = create_resnet(model_depth=50, stem_dim_out=8, stem_conv_kernel_size=(1, 7, 7), model_num_class=5)
    converted = convert_weights(slow.state_dict())
    assert converted.kind is SlowOnly and len(converted.head["bias"]) == 5
    small = {"model_depth": 18, "slowfast_channel_reduction_ratio": (4,), "stem_dim_outs": (8, 2)}
    detector = create_slowfast_with_roi_head(**small)
    converted = convert_weights(detector.state_dict(), alpha=4)
    assert converted.is_detection and converted.network["dilate_last"] is True
    assert len(converted.head["bias"]) == 80


def test_torchvisions_transformers_are_renamed_where_they_have_to_be():
    with torch.device("meta"):
        weights = mvit_v2_s().state_dict()
    converted = convert_weights(weights)
    assert converted.kind is MViT and converted.backbone["norm_last.weight"] is weights["norm.weight"]
    assert set(converted.left_out) == {"head.1.weight", "head.1.bias"}
    with pytest.raises(CheckpointError, match=r"1 weights missing \(blocks\.0\.norm1\.weight\)"):
        convert_weights({name: weight for name, weight in weights.items() if name != "blocks.0.norm1.weight"})


def test_what_is_missing_or_left_over_is_refused(make_pyslowfast):
    weights = make_pyslowfast(depth=50).state_dict()
    missing = {name: weight for name, weight in weights.items() if name != "s3.pathway1_res2.branch2.b.weight"}
    with pytest.raises(CheckpointError, match=r"1 weights missing \(blocks\.2\.multipathway_blocks\.1\.res_blocks\.2"):
        convert_weights(missing, alpha=4)
    with pytest.raises(CheckpointError, match=r"s4\.pathway0_nonlocal6\.conv_g\.weight.*non-local"):
        convert_weights(weights | {"s4.pathway0_nonlocal6.conv_g.weight": torch.ones(1)}, alpha=4)
    without_stage = {name: weight for name, weight in weights.items() if not name.startswith("s5.")}
    with pytest.raises(CheckpointError, match=r"stages have \(3, 4, 6\) residual blocks; .* 50 \(3, 4, 6, 3\)"):
        convert_weights(without_stage, alpha=4)


def test_a_weight_of_another_shape_is_refused(make_pyslowfast):
    weights = make_pyslowfast(depth=50).state_dict()
    name = "s4.pathway0_res5.branch2.a.weight"  # of R101_50_50 these have one frame from some block on
    weights[name] = weights[name][:, :, :1]
    with pytest.raises(
        CheckpointError, match=r"no network that this project builds: 1 weights of another shape .*1, 1, 1"
    ):
        convert_weights(weights, alpha=4)


@pytest.mark.parametrize("names", [[], ["layer1.0.conv1.weight"], ["backbone.layer1.0.conv1.weight"]])
def test_other_networks_are_refused(names):
    with pytest.raises(
        CheckpointError, match=f"its weights .{re.escape(', '.join(names) or 'none')}, .* are not named"
    ):
        convert_weights({name: torch.ones(1) for name in names})


def test_alpha_is_the_recipes_or_the_published_networks_or_asked_for(make_pyslowfast, caplog):
    small = make_pyslowfast().state_dict()
    with pytest.raises(CheckpointError, match="--alpha 4 for 8x8"):
        convert_weights(small)
    assert convert_weights(small, Recipe(alpha=8)).network["alpha"] == 8
    with pytest.raises(CheckpointError, match="alpha = 0, and must be at least 1"):
        convert_weights(small, alpha=0)
    with pytest.raises(CheckpointError, match="alpha = 4, but the config in the file says 8"):
        convert_weights(small, Recipe(alpha=8), alpha=4)
    caplog.set_level("INFO")
    for kernel, alpha in ((5, 8), (7, 4)):
        assert convert_weights(make_pyslowfast(depth=50, kernel=kernel).state_dict()).network["alpha"] == alpha
        assert f"alpha = {alpha}, as the published R50 with fusion kernels of {kernel} frames" in caplog.text


def test_one_pathway_has_no_alpha(make_pyslowfast):
    with pytest.raises(CheckpointError, match="leave --alpha out"):
        convert_weights(make_pyslowfast(depth=50, two=False).state_dict(), alpha=4)


def test_networks_that_take_blue_first_come_to_take_red_first(make_pyslowfast, clips):
    network = make_pyslowfast()
    converted = convert_weights(network.state_dict(), Recipe(alpha=4, is_bgr=True))
    maps, _ = network(clips.flip(1))
    own = build(converted, **CLASSIFIER)(clips).coarse
    for ours, theirs in zip(own, maps, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_a_file_may_say_how_its_clips_are_normalised(make_pyslowfast, make_mmaction2):
    recipe = Recipe(alpha=4, mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0))
    converted = convert_weights(make_pyslowfast().state_dict(), recipe)
    assert (converted.mean, converted.std) == (recipe.mean, recipe.std)
    stored = {"data_preprocessor.mean": torch.tensor([[1.0], [2.0], [3.0]])}
    converted = convert_weights(make_mmaction2().state_dict() | stored, alpha=4)
    assert (converted.mean, converted.std) == ((1.0, 2.0, 3.0), IMAGENET[1])


def test_a_head_of_another_form_is_left_out(make_mmaction2, caplog):
    caplog.set_level("INFO")
    weights = make_mmaction2(detector=True).state_dict()
    wide = {"roi_head.bbox_head.fc_cls.weight": torch.ones(6, 7)}  # such as one that sees the whole frame too
    assert convert_weights(weights | wide, alpha=4).head == {}
    assert "its head takes 7 features, not 256 + 64: it is left out" in caplog.text
