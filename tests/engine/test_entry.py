"""What training and testing say when the memory of the GPU is not enough to begin."""

from typing import Any
from unittest import mock

import pytest
import torch
from mmengine.config import Config

from stal.engine import entry, runner, tested_sets
from stal.errors import DeviceMemoryError


def run_out_of_memory(*_: Any, **__: Any) -> None:
    raise torch.OutOfMemoryError("Tried to allocate 2.00 GiB.")


@pytest.fixture
def config(tmp_path, monkeypatch) -> Config:
    """Return what is read of every config file."""
    config = Config({"work_dir": str(tmp_path), "train_dataloader": {"dataset": {"split": "train"}}})
    config.test_dataloader = {"dataset": {"split": "test"}}
    monkeypatch.setattr(entry, "load_run_config", lambda *_: config)
    return config


def test_a_training_whose_model_does_not_fit_says_so(config, monkeypatch):
    monkeypatch.setattr(entry, "build_all_annotations", mock.Mock())
    monkeypatch.setattr(runner, "build_train_runner", run_out_of_memory)
    with pytest.raises(DeviceMemoryError, match=r"for the model itself: .*depth .*Tried to allocate 2\.00 GiB"):
        entry.train("config.py", validate=False)


def test_a_test_whose_model_does_not_fit_says_so(config, monkeypatch):
    monkeypatch.setattr(entry, "read_tested_sets", lambda *_: [mock.Mock(spec=tested_sets.TestedSet, given="test")])
    monkeypatch.setattr(entry, "config_digest", lambda _: "")
    monkeypatch.setattr(runner, "build_test_runner", run_out_of_memory)
    with pytest.raises(DeviceMemoryError, match="for the model itself"):
        entry.test("config.py", "last.pth")


@pytest.mark.parametrize(
    ("splits", "of_thresholds", "tested"),
    [
        (["iid"], None, ["iid"]),
        (["iid", "anti"], "val", ["val", "iid", "anti"]),
        (["iid", "anti"], "anti", ["anti", "iid"]),
        (["iid"], "iid", ["iid"]),
    ],
)
def test_the_set_of_the_thresholds_is_tested_first_and_once(splits, of_thresholds, tested):
    assert entry._first_of_all(splits, of_thresholds) == tested
