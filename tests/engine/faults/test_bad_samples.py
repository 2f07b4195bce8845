"""What becomes of a training of which samples cannot be read."""

import logging
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.runner import Runner

from stal.data import clips, transforms
from stal.engine.faults import bad_samples
from stal.engine.faults.bad_samples import BadSamplesHook
from stal.engine.faults.checkpoint import PlainCheckpointHook
from stal.engine.loader import ClipLoader, build_loader
from stal.errors import BadDataError, VideoReadError
from stal.structures import Annotations, Tube, Video

TUBE = Tube(0, np.arange(9), np.tile(np.float32([1, 1, 4, 5]), (9, 1)))
VIDEOS = tuple(Video(key, Path(f"{key}.avi"), 9, 6, 8, tubes=(TUBE,)) for key in "abcd")


@pytest.fixture(autouse=True)
def decoder(monkeypatch) -> None:
    """Replace the decoder: b cannot be read, and d is damaged."""

    def read_frames(path, indices, **options):
        if path.stem == "b":
            raise VideoReadError(f"{path}: broken")
        return np.zeros((len(indices), 6, 8, 3), np.uint8)

    monkeypatch.setattr(clips, "read_frames", read_frames)
    monkeypatch.setattr(clips, "damage_of", lambda path, num_frames: "scratched" if path.stem == "d" else None)


def loader_of(tmp_path: Path, names: str, num_workers: int = 0, **dataset) -> ClipLoader:
    described = {
        "split": "train",
        "num_frames_clip": 4,
        "stride": 1,
        "transform": {"type": transforms.TestTransform, "size": (6, 8)},
        **dataset,
    }
    settings = {"batch_size": 1, "num_workers": num_workers, "dataset": described}
    if num_workers:
        settings["multiprocessing_context"] = "fork"  # so that workers see the replaced decoder
    config = Config({"train_dataloader": settings, "work_dir": str(tmp_path)})
    videos = tuple(video for video in VIDEOS if video.key in names)
    return build_loader(config, "train_dataloader", Annotations(("run",), videos), seed=0)


def runner_of(loader: ClipLoader, tmp_path: Path, rank: int = 0) -> mock.Mock:
    hub = MessageHub(str(tmp_path))
    logger = logging.getLogger("training")
    return mock.Mock(spec=Runner, train_dataloader=loader, rank=rank, logger=logger, message_hub=hub)


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("ac", []),
        ("abc", ["1 of 4 samples could not be read, and others took their place; they are named in"]),
        ("acd", ["1 videos are damaged and were used as far as they can be read; they are named in"]),
        ("abd", ["1 of 4 samples", "1 videos are damaged"]),
    ],
)
def test_a_training_says_at_its_end_what_was_bad_or_damaged(tmp_path, caplog, names, said, num_workers):
    loader = loader_of(tmp_path, names, num_workers)
    for _ in range(1 if "b" in names else 2):
        assert len(list(loader)) == len(names)
    with caplog.at_level(logging.WARNING, "training"):
        BadSamplesHook().after_train(runner_of(loader, tmp_path, rank=1))
        assert caplog.messages == []  # one process says it
        BadSamplesHook().after_train(runner_of(loader, tmp_path))
    assert len(caplog.messages) == len(said)
    for message, start in zip(caplog.messages, said, strict=True):
        assert message.startswith(start)
        assert message.endswith(f"they are named in {tmp_path}/bad_samples.jsonl")


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_epoch_with_few_but_too_many_bad_samples_is_the_last(tmp_path, num_workers):
    loader = loader_of(tmp_path, "abcd", num_workers)
    assert len(list(loader)) == 4
    message = (
        rf"1 of 5 training samples .*max_bad_share = 0.01 .*repair or leave out .* in {tmp_path}/.*jsonl \(b\), "
        r"or raise train_dataloader.dataset.max_bad_share"
    )
    with pytest.raises(BadDataError, match=message):
        BadSamplesHook().after_train_epoch(runner_of(loader, tmp_path))


@pytest.mark.parametrize(("names", "share"), [("abcd", 0.2), ("acd", 0.0)])
def test_an_epoch_with_no_more_bad_samples_than_may_be_is_not(tmp_path, names, share):
    loader = loader_of(tmp_path, names, max_bad_share=share)
    list(loader)
    BadSamplesHook().after_train_epoch(runner_of(loader, tmp_path))
    assert loader.dataset.ledger.num_bad == names.count("b")


@pytest.mark.parametrize(("others", "is_refused"), [([0, 95], False), ([3, 95], True)])
def test_the_samples_of_all_processes_count(tmp_path, monkeypatch, others, is_refused):
    def add_others(tensor, op="sum"):
        if op == "sum":
            tensor += torch.tensor(others)
        else:
            tensor[0, 0] = 1  # to others, a was bad

    monkeypatch.setattr(bad_samples, "all_reduce", add_others)
    loader = loader_of(tmp_path, "abcd", max_bad_share=0.01)
    list(loader)
    if is_refused:
        with pytest.raises(BadDataError, match=r"4 of 100 training samples .* \(a, b\)"):
            BadSamplesHook().after_train_epoch(runner_of(loader, tmp_path))
    else:
        BadSamplesHook().after_train_epoch(runner_of(loader, tmp_path))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_only_samples_of_batches_that_were_used_go_into_a_checkpoint(tmp_path, num_workers):
    loader = loader_of(tmp_path, "abcd", num_workers, max_bad_share=1.0)
    runner = runner_of(loader, tmp_path)
    tried = []
    for _ in loader:
        BadSamplesHook().after_train_iter(runner, 0)
        info = runner.message_hub.runtime_info
        tried.append((info["num_bad_samples"], info["num_tried_samples"]))
    assert [num_samples - num_bad for num_bad, num_samples in tried] == [1, 2, 3, 4]
    assert tried == sorted(tried) and tried[-1] == (1, 5)


class Model(BaseModel):
    """A model with one weight, that looks at nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, inputs, mode="loss"):
        return {"loss": (self.weight**2).sum()}


def train(tmp_path: Path, max_epochs: int, max_bad_share: float, *, resume: bool = False) -> ClipLoader:
    loader = loader_of(tmp_path, "abcd", max_bad_share=max_bad_share)
    Runner(
        model=Model(),
        work_dir=str(tmp_path),
        train_dataloader=loader,
        train_cfg={"by_epoch": True, "max_epochs": max_epochs},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
        default_hooks={"checkpoint": {"type": CheckpointHook, "interval": 1}},
        custom_hooks=[{"type": PlainCheckpointHook}, {"type": BadSamplesHook}],
        resume=resume,
        experiment_name=f"{tmp_path}-{max_epochs}",
    ).train()
    return loader


def test_a_resumed_training_counts_on(tmp_path):
    first = train(tmp_path, 2, max_bad_share=0.2).dataset.ledger
    assert (first.num_bad, first.num_samples) == (2, 10)
    through = train(tmp_path, 3, max_bad_share=0.2, resume=True).dataset.ledger
    assert (through.num_bad, through.num_samples) == (3, 15)
    with pytest.raises(BadDataError, match="4 of 20 training samples"):
        train(tmp_path, 4, max_bad_share=0.19, resume=True)
    assert not (tmp_path / "epoch_4.pth").exists()
