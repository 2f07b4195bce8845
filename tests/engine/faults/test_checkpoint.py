import os
import zipfile
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import Runner
from torch import nn

from stal.engine.faults.checkpoint import PlainCheckpointHook, find_checkpoint, find_last, load_weights, read_checkpoint
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


def save_trained(folder, **positions: tuple[int, int]) -> None:
    """Write checkpoints by the names of their files, after so many epochs and iterations, the last one as the last."""
    for name, (epoch, iteration) in positions.items():
        content = {"state_dict": {"a": torch.ones(30)}, "meta": {"epoch": epoch, "iter": iteration}}
        torch.save(content, folder / f"{name}.pth")
        (folder / "last_checkpoint").write_text(str(folder / f"{name}.pth"))


def cut(path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


@pytest.mark.parametrize(
    ("broken", "found"),
    [
        ([], "epoch_3"),
        (["epoch_3"], "iter_25"),
        (["epoch_3", "iter_25"], "epoch_2"),
        (["epoch_3", "iter_25", "epoch_2"], "epoch_1"),
        (["epoch_1"], "epoch_3"),
    ],
)
def test_the_checkpoint_before_takes_the_place_of_a_broken_one(tmp_path, caplog, broken, found):
    save_trained(tmp_path, epoch_1=(1, 10), epoch_2=(2, 20), iter_25=(2, 25), best_mAP_epoch_2=(2, 20), epoch_3=(3, 30))
    for name in broken:
        cut(tmp_path / f"{name}.pth")
    assert find_checkpoint(tmp_path) == tmp_path / f"{found}.pth"
    if found == "epoch_3":
        assert not caplog.text
    else:
        assert "epoch_3.pth is broken or cut short" in caplog.text
        assert f"{found}.pth takes its place" in caplog.text


def test_clocks_do_not_matter(tmp_path):
    save_trained(tmp_path, epoch_1=(1, 10), epoch_2=(2, 20), epoch_10=(10, 100))
    for age, name in enumerate(("epoch_10", "epoch_2", "epoch_1")):
        os.utime(tmp_path / f"{name}.pth", (4e9 + age, 4e9 + age))
    assert find_checkpoint(tmp_path).name == "epoch_10.pth"
    cut(tmp_path / "epoch_10.pth")
    assert find_checkpoint(tmp_path).name == "epoch_2.pth"


def test_what_an_earlier_training_has_left_does_not_take_the_place_of_a_broken_one(tmp_path):
    save_trained(tmp_path, epoch_4=(4, 40), epoch_5=(5, 50), iter_19=(1, 19), epoch_2=(2, 20))
    cut(tmp_path / "epoch_2.pth")
    assert find_checkpoint(tmp_path).name == "iter_19.pth"
    cut(tmp_path / "iter_19.pth")
    with pytest.raises(CheckpointError, match=r"epoch_2\.pth is broken .* has no good one from before it"):
        find_checkpoint(tmp_path)


@pytest.mark.parametrize("pointer", [None, "", "\0\0\0", "epoch_9.pth"])
def test_a_lost_pointer_is_made_good(tmp_path, caplog, pointer):
    save_trained(tmp_path, epoch_1=(1, 10), epoch_2=(2, 20))
    (tmp_path / "last_checkpoint").unlink()
    if pointer is not None:
        (tmp_path / "last_checkpoint").write_text(pointer)
    assert find_last(tmp_path) == tmp_path / "epoch_2.pth"
    assert "epoch_2.pth takes its place" in caplog.text


def test_a_training_that_has_saved_nothing_has_no_last_checkpoint(tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "of_others.pth")
    assert find_last(tmp_path) is None
    assert find_last(tmp_path / "none") is None


def test_files_of_other_machines_are_not_opened():
    with pytest.raises(CheckpointError, match=r"checkpoint https://x/a\.pth is not a file of this machine"):
        find_checkpoint("https://x/a.pth")


def test_averaged_weights_are_weights_too(saved):
    torch.save({"state_dict": {}, "ema_state_dict": {"module.a": [1.0]}}, saved)
    with pytest.raises(CheckpointError, match="no `state_dict` of weights"):
        read_checkpoint(saved)


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
