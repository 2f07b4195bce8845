"""The data loaders that a config describes."""

import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

from stal.data import clips, transforms
from stal.data.transforms import PendingClip
from stal.engine.loader import ClipLoader, build_loader
from stal.engine.preprocessor import ClipPreprocessor
from stal.errors import ConfigError
from stal.structures import Annotations, Clip, Tube, Video

FRAMES = np.arange(9)
TUBE = Tube(0, FRAMES, np.tile(np.float32([1, 1, 4, 5]), (9, 1)))
ANNOTATIONS = Annotations(("run",), tuple(Video(key, Path(f"{key}.avi"), 9, 6, 8, tubes=(TUBE,)) for key in "abcd"))


@pytest.fixture(autouse=True)
def decoder(monkeypatch) -> None:
    """Replace the decoder: frame i is filled with i."""

    def read_frames(path, indices, **options):
        return np.broadcast_to(np.uint8(indices)[:, None, None, None], (len(indices), 6, 8, 3)).copy()

    monkeypatch.setattr(clips, "read_frames", read_frames)
    monkeypatch.setattr(clips, "damage_of", lambda path, num_frames: None)


def loader_of(tmp_path: Path, name: str = "train_dataloader", dataset: dict | None = None, **settings) -> ClipLoader:
    described = {
        "split": "train",
        "num_frames_clip": 4,
        "stride": 1,
        "transform": {"type": transforms.TestTransform, "size": (6, 8)},
        **(dataset or {}),
    }
    config = Config({name: {"batch_size": 2, "dataset": described, **settings}, "work_dir": str(tmp_path)})
    return build_loader(config, name, ANNOTATIONS, seed=0)


def test_a_loader_needs_no_settings_for_pinning_timeout_and_ledger(tmp_path):
    loader = loader_of(tmp_path, num_workers=2)
    assert loader.pin_memory == torch.cuda.is_available()
    assert loader.timeout == 180  # a minute to start, and one for each clip
    assert loader.dataset.ledger.path == tmp_path / "bad_samples.jsonl"
    assert loader_of(tmp_path).timeout == 0  # without workers there is nobody to wait for


def test_a_gpu_gets_pinned_clips_and_transforms_those_that_are_sent_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    loader = loader_of(tmp_path)
    assert loader.pin_memory
    assert isinstance(loader.dataset[0], Clip)
    chosen = loader_of(tmp_path, pin_memory=False, dataset={"transform_on": "device"})
    assert not chosen.pin_memory
    assert isinstance(chosen.dataset[0], PendingClip)


def test_a_config_may_choose_all_of_it(tmp_path):
    dataset = {"read_timeout_seconds": None, "ledger": tmp_path / "mine.jsonl", "max_bad_share": 0.5}
    loader = loader_of(tmp_path, num_workers=1, dataset=dataset)
    assert loader.timeout == 0
    assert loader.dataset.ledger.path == tmp_path / "mine.jsonl"
    assert loader_of(tmp_path, num_workers=1, timeout=5).timeout == 5
    assert loader_of(tmp_path, num_workers=1, dataset={"read_timeout_seconds": 0.5}).timeout == 61


def test_a_batch_larger_than_an_epoch_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="batch_size = 5, but an epoch has only 4 clips"):
        loader_of(tmp_path, batch_size=5)


def test_a_batch_larger_than_the_share_of_a_process_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    message = (
        r"batch_size = 3, but an epoch has only 4 clips, 2 for each of 2 processes: lower it, or raise .*per_video"
    )
    with pytest.raises(ConfigError, match=message):
        loader_of(tmp_path, batch_size=3)
    assert len(loader_of(tmp_path, batch_size=2)) == 1


def test_an_unknown_balance_of_a_config_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match=r"train_dataloader\.dataset: .*'balanc'"):
        loader_of(tmp_path, dataset={"balanc": "tube"})


def test_an_error_in_a_worker_is_raised_as_it_is(tmp_path, monkeypatch):
    def read_frames(*arguments, **options):
        raise RuntimeError("DataLoader timed out is not what this says")

    monkeypatch.setattr(clips, "read_frames", read_frames)
    with pytest.raises(RuntimeError, match="is not what this says"):
        next(iter(loader_of(tmp_path, num_workers=1, multiprocessing_context="fork")))


def test_a_loader_that_is_closed_has_ended_its_workers_and_may_start_others(tmp_path):
    loader = loader_of(tmp_path, num_workers=2, multiprocessing_context="fork")
    for _ in range(2):
        assert len(list(loader)) == 2
        pids = {entry.pid for entry in loader.dataset.readings.entries()}
        assert len(pids) == 2 and pids <= {child.pid for child in multiprocessing.active_children()}
        loader.close()
        assert not pids & {child.pid for child in multiprocessing.active_children()}
    loader.close()


@pytest.mark.parametrize("num_workers", [0, 1])
def test_clips_that_are_transformed_on_the_device_give_the_batch_of_those_that_come_transformed(tmp_path, num_workers):
    batches = []
    for place in ("worker", "device"):
        dataset = {"transform_on": place, "transform": {"type": transforms.TestTransform, "size": (9, 7)}}
        context = "fork" if num_workers else None
        loader = loader_of(tmp_path, dataset=dataset, num_workers=num_workers, multiprocessing_context=context)
        prepared = ClipPreprocessor().prepare(next(iter(loader)), training=True)
        assert [clip.frames.shape[2:] for clip in prepared.clips] == [(9, 7)] * 2
        batches.append(prepared.batch)
    first, second = batches
    assert torch.equal(first.clips, second.clips)
    assert torch.equal(first.provenance, second.provenance)
