"""Converted weights go into a backbone whole, or not at all, and mean there what they meant."""

import re
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from stal.commands.convert_weights import convert_file
from stal.engine import runner
from stal.engine.backbone_weights import load_backbone_weights
from stal.engine.config import load_config
from stal.engine.model import DetectionModel
from stal.engine.preprocessor import ClipPreprocessor
from stal.errors import CheckpointError, ConfigError
from stal.models.backbone import SlowFast
from stal.models.detector import TubeDetector
from stal.structures import Annotations, Video

CONFIG = Path(__file__).parents[2] / "configs" / "scenes_small_plain.py"
SMALL = {"depth": 18, "width": 8, "channel_ratio": 4, "fusion_kernel": 5}
IMAGENET = {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}

VIDEOS = Annotations(("run", "jump"), (Video("a", Path("a.mp4"), 8, 32, 48, split="train"),))


def build_model(preprocessor: dict[str, Any] | None = None, **arguments: Any) -> DetectionModel:
    backbone = SlowFast(**{**SMALL, **arguments})
    return DetectionModel(TubeDetector(backbone, num_classes=3), ClipPreprocessor(**(preprocessor or {})))


def write_weights(folder: Path, **arguments: Any) -> tuple[Path, dict[str, torch.Tensor]]:
    """Convert the weights of a small backbone of another seed, of a classifier by pytorchvideo's names."""
    torch.manual_seed(1)
    weights = SlowFast(**{**SMALL, **arguments}).state_dict()
    torch.save({"model_state": weights}, folder / "theirs.pyth")
    convert_file(folder / "theirs.pyth", folder / "ours.pth", alpha=arguments.get("alpha", 4), overwrite=True)
    return folder / "ours.pth", weights


def test_the_backbone_is_loaded_whole_and_the_rest_is_left_alone(tmp_path):
    path, weights = write_weights(tmp_path)
    torch.manual_seed(0)
    model = build_model()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    said = load_backbone_weights(model, path)
    assert said == f"the backbone begins with all {len(weights)} weights of {path} (pytorchvideo)"
    for name, weight in model.state_dict().items():
        own = name.removeprefix("detector.backbone.")
        assert torch.equal(weight, weights[own] if name != own else before[name])


@pytest.mark.parametrize(
    ("arguments", "preprocessor", "messages"),
    [
        ({"alpha": 8}, {}, ["backbone.alpha is 8, and has to be 4"]),
        ({"norm": "group"}, {}, ["backbone.norm is 'group', and has to be 'frozen_batch'", "not in this model"]),
        (
            {"linear_fusion": True},
            {},
            [
                "linear_fusion is True, and has to be False",
                r"20 weights not in this model \(.*multipathway_fusion.norm",
            ],
        ),
        ({"slow_sampling": "strided"}, {}, ["slow_sampling is 'strided', and has to be 'spread'"]),
        (
            {"fusion_kernel": 7},
            {},
            [r"4 weights of another shape .*5, 1, 1\) instead of .*7, 1, 1\)", "fusion_kernel=5"],
        ),
        ({"width": 4, "channel_ratio": 2}, {}, ["of another shape", "width=8"]),
        ({"depth": 50}, {}, ["weights missing", "depth=18"]),
        (
            {},
            IMAGENET,
            [r"data_preprocessor\.mean is \[123.67\d*, .*has to be \[114.75, 114.75, 114.75\]", r"\.std is"],
        ),
    ],
)
def test_what_does_not_fit_is_said_and_nothing_is_loaded(tmp_path, arguments, preprocessor, messages):
    path, _ = write_weights(tmp_path)
    model = build_model(preprocessor, **arguments)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"ours\.pth does not fit this config: ") as error:
        load_backbone_weights(model, path)
    for message in messages:
        assert re.search(message, str(error.value)), error.value
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_what_mmaction2_means_is_asked_for(tmp_path):
    _, weights = write_weights(tmp_path, linear_fusion=True)
    named = {}
    for name, weight in weights.items():  # as mmaction2 names them, by the inverse of its rules
        stage, kind, rest = re.fullmatch(r"blocks\.(\d)\.multipathway_(blocks|fusion)\.(.*)", name).groups()
        if kind == "fusion":
            layer = "conv1" if stage == "0" else f"layer{stage}"
            named[f"backbone.slow_path.{layer}_lateral.conv.{rest.rpartition('.')[2]}"] = weight
            continue
        path = "backbone.slow_path" if rest[0] == "0" else "backbone.fast_path"
        rest = rest[2:].replace("norm", "bn")
        if stage == "0":
            named[f"{path}.conv1.{rest}"] = weight
            continue
        block, layer, value = re.fullmatch(r"res_blocks\.(\d+)\.(.*)\.(\w+)", rest).groups()
        part = {"a": "conv1", "b": "conv2", "c": "conv3"}.get(layer[-1]) if "branch2" in layer else "downsample"
        named[f"{path}.layer{stage}.{block}.{part}.{'bn' if 'bn' in layer else 'conv'}.{value}"] = weight
    torch.save({"state_dict": named}, tmp_path / "mmaction2.pth")
    convert_file(tmp_path / "mmaction2.pth", tmp_path / "out.pth", alpha=4)
    with pytest.raises(CheckpointError) as error:
        load_backbone_weights(build_model(), tmp_path / "out.pth")
    for text in ("linear_fusion is False, and has to be True", "slow_sampling is 'spread', and has to be 'strided'"):
        assert text in str(error.value)
    assert "data_preprocessor.mean is [114.75, 114.75, 114.75], and has to be [123.675, 116.28, 103.53]" in str(
        error.value
    )
    model = build_model(IMAGENET, linear_fusion=True, slow_sampling="strided")
    load_backbone_weights(model, tmp_path / "out.pth")
    assert all(torch.equal(weight, weights[name]) for name, weight in model.detector.backbone.state_dict().items())


def test_a_missing_file_says_where_its_owners_publish_it(tmp_path):
    path = tmp_path / "slowfast_r50_8x8.pth"
    with pytest.raises(CheckpointError) as error:
        load_backbone_weights(build_model(), path)
    message = str(error.value)
    assert f"backbone_weights: there is no file {path}" in message and "nothing is downloaded here" in message
    assert "https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics/SLOWFAST_8x8_R50.pyth" in message
    assert f"python tools/convert_weights.py FILE --out {path}" in message


@pytest.mark.parametrize(
    "content", [{"state_dict": {}, "meta": {"epoch": 1}}, {"model_state": {"a": torch.ones(1)}}, {"meta": None}, [1]]
)
def test_a_file_that_was_not_converted_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"other\.pth was not written by tools/convert_weights\.py: .*load_from"):
        load_backbone_weights(build_model(), tmp_path / "other.pth")


def test_a_broken_file_is_refused(tmp_path):
    path, _ = write_weights(tmp_path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(
        CheckpointError, match=r"backbone_weights: .*ours\.pth is broken or cut short .*convert_weights"
    ):
        load_backbone_weights(build_model(), path)


@pytest.fixture
def loaded(monkeypatch) -> list[str]:
    """Return which files are loaded into backbones; the runner is a mock."""
    files: list[str] = []

    def load(_: DetectionModel, path: str) -> str:
        files.append(path)
        return f"loaded {path}"

    monkeypatch.setattr(runner, "load_backbone_weights", load)
    monkeypatch.setattr(runner, "build_loader", lambda *_: type("Loader", (), {"batch_size": 1}))
    monkeypatch.setattr(runner, "check_start", lambda *_: None)
    monkeypatch.setattr(runner, "Runner", lambda **_: mock.Mock(spec=Runner, logger=mock.Mock()))
    return files


@pytest.mark.parametrize(
    ("settings", "resume", "expected"),
    [
        ({}, False, []),
        ({"backbone_weights": None}, False, []),
        ({"backbone_weights": "a.pth"}, False, ["a.pth"]),
        ({"backbone_weights": "a.pth"}, True, ["a.pth"]),  # there is nothing to resume from yet
        ({"backbone_weights": "a.pth", "load_from": "start.pth"}, False, []),
        ({"backbone_weights": "a.pth"}, "start.pth", []),
    ],
)
def test_only_a_training_that_starts_from_no_checkpoint_needs_them(
    tmp_path, monkeypatch, loaded, settings, resume, expected
):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}}, tmp_path / "start.pth")
    config: Config = load_config(CONFIG, settings)
    config.work_dir = str(tmp_path / "work_dir")
    built = runner.build_train_runner(config, VIDEOS, resume=resume)
    assert loaded == expected
    assert [call.args for call in built.logger.info.call_args_list] == [(f"loaded {path}",) for path in expected]


def test_frozen_norms_need_weights_from_somewhere(tmp_path, monkeypatch, loaded):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}}, tmp_path / "start.pth")
    settings = {"model.detector.backbone.norm": "frozen_batch", "work_dir": str(tmp_path)}
    for source in ({"backbone_weights": "a.pth"}, {"load_from": "start.pth"}):
        runner.build_train_runner(load_config(CONFIG, {**settings, **source}), VIDEOS)
    with pytest.raises(ConfigError, match="'frozen_batch' needs statistics of another training"):
        runner.build_train_runner(load_config(CONFIG, settings), VIDEOS)
