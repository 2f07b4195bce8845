import os
import zipfile
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import Runner
from torch import nn

from stal.engine.faults.checkpoint import PlainCheckpointHook, find_checkpoint, load_weights, read_checkpoint
from stal.errors import CheckpointError


def small_model(seed: int = 0, out_features: int = 2) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, out_features), nn.BatchNorm1d(out_features))


@pytest.fixture
def saved(tmp_path):
    """A checkpoint of `small_model`."""
    path = tmp_path / "epoch_1.pth"
    torch.save({"state_dict": small_model().state_dict(), "meta": {"epoch": 1}}, path)
    return path


def test_weights_are_what_was_saved(saved):
    model = small_model(seed=1)
    load_weights(model, saved)
    expected = small_model().state_dict()
    assert all(torch.equal(weight, expected[key]) for key, weight in model.state_dict().items())
    assert read_checkpoint(str(saved))["meta"] == {"epoch": 1}


def test_a_work_directory_stands_for_its_last_checkpoint(saved):
    (saved.parent / "last_checkpoint").write_text("/moved/since/epoch_1.pth")
    assert find_checkpoint(saved.parent) == saved
    saved.unlink()
    with pytest.raises(CheckpointError, match=r"names epoch_1\.pth, which is not there"):
        find_checkpoint(saved.parent)


def test_a_missing_file_is_an_error_that_names_it(tmp_path):
    for path in (tmp_path / "none.pth", tmp_path):
        with pytest.raises(CheckpointError, match=f"there is no checkpoint {path}"):
            read_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "broken or cut short"),
        (b"just a text\n", "broken|not a checkpoint"),
        (b"pickle", "broken|not a checkpoint"),
        (b"version https://git-lfs.github.com/spec/v1\n", "broken|not a checkpoint"),
        (b"\x80\x02.", "broken|not a checkpoint"),
        (b"PK\x03\x04", "broken|not a checkpoint"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_an_error_that_names_it(tmp_path, content, message):
    path = tmp_path / "bad.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"bad\.pth.*({message})"):
        read_checkpoint(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_is_cut_short_is_an_error(saved, zipped):
    torch.save(torch.load(saved, weights_only=True), saved, _use_new_zipfile_serialization=zipped)
    content = saved.read_bytes()
    for length in range(0, len(content) - 1, len(content) // 20):
        saved.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match="epoch_1"):
            read_checkpoint(saved)


def test_another_zip_file_is_an_error(tmp_path):
    with zipfile.ZipFile(tmp_path / "other.pth", "w") as other:
        other.writestr("readme.txt", "nothing")
    with pytest.raises(CheckpointError, match=r"other\.pth is broken"):
        read_checkpoint(tmp_path / "other.pth")


@pytest.mark.parametrize("content", [{"weights": 1}, [1, 2], {"state_dict": [1]}, {"state_dict": {"a": 1.0}}])
def test_a_checkpoint_without_weights_is_an_error(tmp_path, content):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="no `state_dict` of weights"):
        read_checkpoint(tmp_path / "other.pth")


class RunsCode:
    """Creates a folder when it is unpickled."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_a_checkpoint_that_would_run_code_is_refused_and_the_code_does_not_run(tmp_path):
    torch.save({"state_dict": {}, "meta": RunsCode(str(tmp_path / "ran"))}, tmp_path / "evil.pth")
    with pytest.raises(CheckpointError, match=r"evil\.pth is refused: opening it would run \S*mkdir"):
        read_checkpoint(tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("other", "messages"),
    [
        (nn.Linear(3, 2), ["2 weights missing .*weight, bias", "7 weights not in this model .*0.weight"]),
        (small_model(out_features=4), [r"of another shape .*0\.weight \(2, 3\) instead of \(4, 3\)"]),
        (nn.Sequential(nn.Linear(3, 2)), [r"5 weights not in this model \(1\.weight"]),
        (nn.Sequential(*small_model(), nn.Linear(2, 1)), [r"2 weights missing \(2\.weight, 2\.bias\)"]),
    ],
)
def test_weights_of_another_model_are_an_error_that_names_the_differences(saved, other, messages):
    before = {key: weight.clone() for key, weight in other.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"epoch_1\.pth is of another model") as error:
        load_weights(other, saved)
    for message in messages:
        assert error.match(message)
    assert all(torch.equal(weight, before[key]) for key, weight in other.state_dict().items())


def runner_of(model: nn.Module) -> Mock:
    runner = Mock(spec=Runner)
    runner.model = model
    return runner


def hub_of_a_training(name: str) -> MessageHub:
    hub = MessageHub.get_instance(name)
    for step in range(5):
        hub.update_scalar("train/loss", 1 / (step + 1), count=step + 1)
        hub.update_scalar("train/lr", np.float32(step))
    hub.update_info("epoch", 3)
    hub.update_info("iter", np.int64(7))
    hub.update_info("dataset_meta", object())
    return hub


def test_a_message_hub_survives_a_plain_checkpoint(tmp_path):
    hook, hub = PlainCheckpointHook(), hub_of_a_training(f"saved in {tmp_path}")
    checkpoint = {
        "state_dict": small_model().state_dict(),
        "message_hub": hub.state_dict(),
        "meta": {"epoch": 3, "score": np.float64(0.5), "config": "raise SystemExit"},
        "param_schedulers": [{"base_lrs": [np.float64(0.1)], "range": (np.int64(1), 2)}],
    }
    hook.before_save_checkpoint(runner_of(small_model()), checkpoint)
    torch.save(checkpoint, tmp_path / "a.pth")
    torch.load(tmp_path / "a.pth", weights_only=True)

    loaded = read_checkpoint(tmp_path / "a.pth")
    hook.after_load_checkpoint(runner_of(small_model()), loaded)
    assert loaded["meta"] == {"epoch": 3, "score": 0.5}  # without the text that mmengine would run
    assert loaded["param_schedulers"] == [{"base_lrs": [0.1], "range": (1, 2)}]
    resumed = MessageHub.get_instance(f"resumed in {tmp_path}")
    resumed.load_state_dict(loaded["message_hub"])
    assert resumed.get_info("epoch") == 3
    assert resumed.get_info("iter") == 7
    for name, buffer in hub.log_scalars.items():
        assert isinstance(resumed.get_scalar(name), HistoryBuffer)
        for own, other in zip(resumed.get_scalar(name).data, buffer.data, strict=True):
            np.testing.assert_array_equal(own, other)
    resumed.update_scalar("train/loss", 9.0)
    assert resumed.get_scalar("train/loss").current() == 9.0


def test_saving_leaves_the_running_training_alone(tmp_path):
    hub = hub_of_a_training(f"running in {tmp_path}")
    checkpoint = {"state_dict": {}, "message_hub": hub.state_dict(), "meta": {}}
    PlainCheckpointHook().before_save_checkpoint(runner_of(small_model()), checkpoint)
    assert isinstance(hub.get_scalar("train/loss"), HistoryBuffer)
    assert hub.get_info("epoch") == 3


def test_a_training_does_not_resume_from_another_models_checkpoint():
    checkpoint = {"state_dict": small_model(out_features=4).state_dict(), "meta": {}}
    with pytest.raises(CheckpointError, match="of another shape"):
        PlainCheckpointHook().after_load_checkpoint(runner_of(small_model()), checkpoint)
