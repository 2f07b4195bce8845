"""Trainings that go on, or do not, from what stands in their work directories."""

import shutil
from pathlib import Path

import pytest
import torch

from stal.data.scenes import generate
from stal.engine.entry import train
from stal.engine.faults.checkpoint import read_checkpoint
from stal.engine.faults.work_dir import own_work_dir
from stal.errors import CheckpointError, ConfigError, StalError

CONFIG = str(Path(__file__).parents[3] / "configs" / "scenes_small_plain.py")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def options(tmp_path_factory) -> dict:
    """Settings of three epochs of two iterations, as small as it gets."""
    folder = tmp_path_factory.mktemp("scenes")
    generate(folder, 4, splits=("train",), width=96, height=72)
    return {
        "data.path": str(folder / "annotations.json"),
        "train_dataloader.batch_size": 2,
        "train_dataloader.num_workers": 0,
        "model.detector.backbone.width": 4,
        "model.detector.backbone.channel_ratio": 2,
        "train_cfg.max_epochs": 3,
    }


@pytest.fixture(scope="module")
def uninterrupted(options, tmp_path_factory) -> Path:
    work_dir = tmp_path_factory.mktemp("uninterrupted")
    train(CONFIG, work_dir=str(work_dir), options=options)
    return work_dir


@pytest.fixture
def work_dir(uninterrupted, tmp_path) -> Path:
    """A copy of the work directory after three epochs."""
    return Path(shutil.copytree(uninterrupted, tmp_path / "copy"))


def test_from_a_checkpoint_that_is_cut_short_the_one_before_goes_on_to_the_same_weights(
    work_dir, options, uninterrupted, caplog
):
    last = work_dir / "epoch_3.pth"
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    train(CONFIG, work_dir=str(work_dir), options=options, resume=True)
    assert "epoch_3.pth is broken or cut short" in caplog.text
    assert "epoch_2.pth takes its place" in caplog.text
    (again, first) = (read_checkpoint(folder)["state_dict"] for folder in (work_dir, uninterrupted))
    assert all(torch.equal(weight, first[name]) for name, weight in again.items())


def test_with_another_seed_or_batch_nothing_is_resumed(work_dir, options):
    for changed, seed in (({}, 1), ({"train_dataloader.batch_size": 4}, None)):
        with pytest.raises(CheckpointError, match=r"epoch_3\.pth: this training has (seed = 1|batch_size = 4) instead"):
            train(CONFIG, work_dir=str(work_dir), options=options | changed, resume=True, seed=seed)


def test_a_second_training_in_the_same_place_is_refused_before_it_writes(work_dir, options):
    before = sorted(work_dir.iterdir())
    with own_work_dir(work_dir), pytest.raises(ConfigError, match="is run by process"):
        train(CONFIG, work_dir=str(work_dir), options=options)
    assert sorted(work_dir.iterdir()) == before


@pytest.mark.parametrize("load_from", ["https://x/a.pth", "torchvision://resnet50"])
def test_a_training_downloads_nothing(tmp_path, options, load_from):
    with pytest.raises(CheckpointError, match="is not a file of this machine"):
        train(CONFIG, work_dir=str(tmp_path), options=options | {"load_from": load_from})


class RunsCode:
    """Creates a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return Path.mkdir, (self.folder,)


@pytest.mark.parametrize("resume", [True, False])
def test_a_training_starts_from_no_checkpoint_that_would_run_code(tmp_path, options, resume):
    path = tmp_path / "epoch_1.pth"
    torch.save({"state_dict": {}, "optimizer": RunsCode(tmp_path / "ran"), "meta": {}}, path)
    start = {"resume": str(path)} if resume else {"options": options | {"load_from": str(path)}}
    with pytest.raises(CheckpointError, match=r"epoch_1\.pth is refused: opening it would run"):
        train(CONFIG, work_dir=str(tmp_path / "work"), **{"options": options, **start})
    assert not (tmp_path / "ran").exists()


def test_on_a_full_disk_a_training_ends_with_a_clear_error_and_its_last_checkpoint_goes_on(
    uninterrupted, options, mount_disk
):
    size = (uninterrupted / "epoch_3.pth").stat().st_size
    disk = mount_disk(2 * size + 400_000)
    with pytest.raises(StalError, match=r"cannot be written \(No space left on device\).*--resume"):
        train(CONFIG, work_dir=str(disk), options=options)
    assert sorted(path.name for path in disk.glob("*.pth*")) == ["epoch_1.pth", "epoch_2.pth"]
    (disk / "epoch_1.pth").unlink()  # which makes room
    train(CONFIG, work_dir=str(disk), options=options, resume=True)
    (again, first) = (read_checkpoint(folder)["state_dict"] for folder in (disk, uninterrupted))
    assert all(torch.equal(weight, first[name]) for name, weight in again.items())
