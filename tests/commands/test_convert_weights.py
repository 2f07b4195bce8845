"""Files of other projects become files that open safely and hold whole backbones."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorchvideo.models.slowfast import create_slowfast
from torch import Tensor

from stal.commands.convert_weights import convert_file
from stal.engine.faults.checkpoint import read_checkpoint
from stal.errors import CheckpointError, ConfigError


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    """The weights of a small SlowFast by pytorchvideo's names."""
    torch.manual_seed(0)
    small = {"model_depth": 18, "slowfast_channel_reduction_ratio": (4,), "stem_dim_outs": (8, 2)}
    return create_slowfast(**small, model_num_class=3).state_dict()


def saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


def test_a_converted_file_says_what_it_is_and_opens_as_a_checkpoint_does(tmp_path, weights):
    path = saved(tmp_path / "SLOWFAST.pyth", {"model_state": weights})
    converted = convert_file(path, tmp_path / "new" / "slowfast.pth", alpha=4)
    content = read_checkpoint(tmp_path / "new" / "slowfast.pth")
    assert content["state_dict"].keys() == converted.backbone.keys()
    assert all(torch.equal(content["state_dict"][name], weights[name]) for name in converted.backbone)
    assert torch.equal(content["head"]["bias"], weights["blocks.6.proj.bias"])
    meta = content["meta"]["backbone_weights"]
    assert (meta["project"], meta["file"], meta["backbone"]) == ("pytorchvideo", "SLOWFAST.pyth", "SlowFast")
    assert meta["network"]["alpha"] == 4 and meta["mean"] == (114.75,) * 3
    (tmp_path / "new" / "slowfast.pth").open("r+b").write(b"PK\x03\x04?")
    with pytest.raises(CheckpointError, match="altered since it was written"):
        read_checkpoint(tmp_path / "new" / "slowfast.pth")


def test_a_config_in_the_file_is_heard(tmp_path, weights):
    content = {"model_state": weights, "cfg": "{DATA: {}, SLOWFAST: {ALPHA: 8}}"}
    assert convert_file(saved(tmp_path / "a.pyth", content), tmp_path / "out.pth").network["alpha"] == 8
    content["cfg"] = "- 3"
    with pytest.raises(CheckpointError, match=r"b\.pyth cannot be converted: its `cfg` is not"):
        convert_file(saved(tmp_path / "b.pyth", content), tmp_path / "out2.pth")


def write_blobs(path: Path, blobs: dict[str, Any], protocol: int = 2) -> Path:
    path.write_bytes(pickle.dumps({"blobs": blobs}, protocol=protocol))
    return path


def caffe2_blobs(weights: dict[str, Tensor]) -> dict[str, Any]:
    """The stems and counters: enough to be known by."""
    return {
        "conv1_w": weights["blocks.0.multipathway_blocks.0.conv.weight"].numpy(),
        "t_conv1_w": weights["blocks.0.multipathway_blocks.1.conv.weight"].numpy(),
        "model_iter": np.array([3]),
        "lr": 0.1,
    }


def test_the_blobs_of_caffe2_are_read(tmp_path, weights):
    path = write_blobs(tmp_path / "SLOWFAST.pkl", caffe2_blobs(weights))
    with pytest.raises(
        CheckpointError, match=r"SLOWFAST\.pkl cannot be converted: its stages have \(\) residual blocks"
    ):
        convert_file(path, tmp_path / "out.pth")
    assert not (tmp_path / "out.pth").exists()


class RunsCode:
    """Creates a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("suffix", ["pyth", "pth", "pkl"])
def test_a_file_that_would_run_code_is_refused_and_the_code_does_not_run(tmp_path, weights, suffix):
    path, payload = tmp_path / f"evil.{suffix}", RunsCode(tmp_path / "ran")
    if suffix == "pkl":
        write_blobs(path, {"conv1_w": payload})
    else:
        saved(path, {"model_state": weights, "optimizer_state": payload})
    with pytest.raises(CheckpointError, match=rf"evil\.{suffix} is refused: .*mkdir"):
        convert_file(path, tmp_path / "out.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pkl", b"", "not a whole pickle"),
        ("a.pkl", b"<html>not found</html>", "not a whole pickle"),
        ("a.pkl", pickle.dumps([1]), "holds a list, not weights"),
        ("a.pkl", pickle.dumps({"a": 1}), "has no `blobs`"),
        ("a.pyth", b"", "broken or cut short"),
        ("a.pyth", b"<html>not found</html>", "broken|not a checkpoint"),
    ],
)
def test_a_file_without_weights_is_an_error_that_names_it(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"a\.{name[2:]}.*({message})"):
        convert_file(tmp_path / name, tmp_path / "out.pth")


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, {"model_state": {}}, {"state_dict": {"a": 1}}])
def test_a_checkpoint_without_weights_is_an_error(tmp_path, content):
    with pytest.raises(CheckpointError, match=r"a\.pth has weights neither in `model_state`"):
        convert_file(saved(tmp_path / "a.pth", content), tmp_path / "out.pth")


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match=r"there is no file of weights .*a\.pth"):
        convert_file(tmp_path / "a.pth", tmp_path / "out.pth")


def test_a_file_is_overwritten_only_if_that_is_asked_for(tmp_path, weights):
    path, out = saved(tmp_path / "a.pyth", {"model_state": weights}), tmp_path / "out.pth"
    out.write_text("mine")
    with pytest.raises(ConfigError, match=r"out\.pth is there already: .*--overwrite"):
        convert_file(path, out, alpha=4)
    assert out.read_text() == "mine"
    convert_file(path, out, alpha=4, overwrite=True)
    assert read_checkpoint(out)["state_dict"]
    with pytest.raises(ConfigError, match="is there already"):
        convert_file(path, tmp_path, alpha=4, overwrite=True)
