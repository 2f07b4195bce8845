import json

import pytest

from stal.errors import CheckpointError
from stal.models.weights.layer import own_name
from stal.models.weights.naming import CAFFE2, MMACTION2, PYSLOWFAST, PYTORCHVIDEO, Naming, recognise


def converted(naming: Naming, name: str, *, two_pathways: bool = True) -> str | None:
    place = naming.place(name)
    return place and own_name(place, two_pathways=two_pathways)


@pytest.mark.parametrize(
    ("naming", "name", "own"),
    [
        (PYSLOWFAST, "s1.pathway1_stem.bn.bias", "blocks.0.multipathway_blocks.1.norm.bias"),
        (PYSLOWFAST, "s4_fuse.conv_f2s.weight", "blocks.3.multipathway_fusion.conv_fast_to_slow.weight"),
        (
            PYSLOWFAST,
            "s4.pathway0_res22.branch2.c_bn.running_var",
            "blocks.3.multipathway_blocks.0.res_blocks.22.branch2.norm_c.running_var",
        ),
        (CAFFE2, "t_res_conv1_bn_riv", "blocks.0.multipathway_blocks.1.norm.running_var"),
        (CAFFE2, "t_pool1_subsample_w", "blocks.0.multipathway_fusion.conv_fast_to_slow.weight"),
        (CAFFE2, "t_res4_22_branch2c_bn_subsample_bn_s", "blocks.3.multipathway_fusion.norm.weight"),
        (CAFFE2, "res5_0_branch1_bn_b", "blocks.4.multipathway_blocks.0.res_blocks.0.branch1_norm.bias"),
        (CAFFE2, "res5_0_branch2b_w", "blocks.4.multipathway_blocks.0.res_blocks.0.branch2.conv_b.weight"),
        (
            MMACTION2,
            "backbone.fast_path.layer3.22.conv2.bn.running_mean",
            "blocks.3.multipathway_blocks.1.res_blocks.22.branch2.norm_b.running_mean",
        ),
        (
            MMACTION2,
            "backbone.slow_path.layer3_lateral.conv.weight",
            "blocks.3.multipathway_fusion.conv_fast_to_slow.weight",
        ),
        (PYTORCHVIDEO, "model.blocks.0.multipathway_fusion.norm.bias", "blocks.0.multipathway_fusion.norm.bias"),
        *(
            (naming, name, None)
            for naming, name in (
                (PYSLOWFAST, "head.projection.weight"),
                (PYSLOWFAST, "s4.pathway0_nonlocal6.conv_g.weight"),
                (PYSLOWFAST, "s1.pathway2_stem.conv.weight"),
                (PYSLOWFAST, "xs1.pathway0_stem.conv.weight"),
                (CAFFE2, "conv1_w_momentum"),
                (CAFFE2, "nonlocal_conv4_6_theta_w"),
                (MMACTION2, "backbone.layer1.0.non_local_block.g.conv.weight"),
                (PYTORCHVIDEO, "blocks.6.proj.weight"),
            )
        ),
    ],
)
def test_a_name_is_given_its_place(naming, name, own):
    assert converted(naming, name) == own


@pytest.mark.parametrize(
    ("naming", "name"),
    [
        (PYSLOWFAST, "s3.pathway0_res1.branch2.a.weight"),
        (CAFFE2, "res3_1_branch2a_w"),
        (MMACTION2, "backbone.layer2.1.conv1.conv.weight"),
        (PYTORCHVIDEO, "blocks.2.res_blocks.1.branch2.conv_a.weight"),
    ],
)
def test_of_one_pathway_the_names_are_shorter(naming, name):
    assert converted(naming, name, two_pathways=False) == "blocks.2.res_blocks.1.branch2.conv_a.weight"


@pytest.mark.parametrize(
    ("names", "naming"),
    [
        (["head.projection.bias", "s1.pathway0_stem.conv.weight"], PYSLOWFAST),
        (["lr", "conv1_w"], CAFFE2),
        (["backbone.conv1.conv.weight"], MMACTION2),
        (["model.blocks.0.multipathway_blocks.0.conv.weight"], PYTORCHVIDEO),
        (["blocks.0.conv.weight"], PYTORCHVIDEO),
    ],
)
def test_a_project_is_known_by_the_name_of_a_stem(names, naming):
    assert recognise(names) is naming


def test_names_of_no_known_project_are_an_error():
    with pytest.raises(CheckpointError, match=r"\(a, b, c, \.\.\.\) are not named as .* pytorchvideo, PySlowFast"):
        recognise(["a", "b", "c", "d"])


@pytest.mark.data
@pytest.mark.parametrize("task", ["cls", "det"])
@pytest.mark.parametrize(("project", "naming"), [("pyslowfast", PYSLOWFAST), ("mmaction2", MMACTION2)])
def test_every_name_of_r50_8x8_is_that_of_the_prepared_map(shared, task, project, naming):
    known = json.loads((shared / "weights" / "slowfast_keymap.json").read_text())[task]
    for name, expected in known[project].items():
        value = naming.head_value(name)
        expected = expected.removeprefix("model.")
        assert naming.is_outside(name) == (value is not None)
        if value is not None:
            assert expected in (f"blocks.6.proj.{value}", f"detection_head.proj.{value}")
            assert PYTORCHVIDEO.head_value(expected) == value
        else:
            assert converted(naming, name) == expected
            assert converted(PYTORCHVIDEO, expected) == converted(PYTORCHVIDEO, f"model.{expected}") == expected
    unmapped = {f"blocks.{stage}.multipathway_fusion.norm" for stage in range(4)}
    if project == "mmaction2":  # its lateral convolutions stand alone
        assert {name.removeprefix("model.").rpartition(".")[0] for name in known["pytorchvideo_only"]} == unmapped
