import re

import pytest
import torch
from torch import nn

from stal.engine.faults.resume import check_start
from stal.errors import CheckpointError

ORDER = {"num_processes": 2, "batch_size": 4, "seed": 1}


@pytest.fixture
def path(tmp_path) -> str:
    path = tmp_path / "epoch_1.pth"
    torch.save({"state_dict": nn.Linear(3, 2).state_dict(), "optimizer": {}, "meta": {"epoch": 1, **ORDER}}, path)
    return str(path)


def test_a_training_goes_on_with_the_same_order_of_its_data(path):
    check_start(path, nn.Linear(3, 2), ORDER)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"num_processes": 1}, "has num_processes = 1 instead of 2, and"),
        ({"batch_size": 8}, "has batch_size = 8 instead of 4, and"),
        ({"seed": 0, "num_processes": 4}, "has num_processes = 4 instead of 2, seed = 0 instead of 1, and"),
    ],
)
def test_with_another_order_it_does_not_and_says_what_differs(path, changed, message):
    with pytest.raises(CheckpointError, match=rf"epoch_1\.pth: this training {message} would .*load_from"):
        check_start(path, nn.Linear(3, 2), {**ORDER, **changed})
    check_start(path, nn.Linear(3, 2))  # to begin with its weights is something else


SETTINGS = {"train_cfg.max_epochs": 12, "optim_wrapper.optimizer.lr": 0.1}


@pytest.mark.parametrize(
    ("now", "message"),
    [
        ({**SETTINGS, "train_cfg.max_epochs": 24}, "train_cfg.max_epochs = 24 instead of 12"),
        ({"train_cfg.max_epochs": 12}, "optim_wrapper.optimizer.lr = None instead of 0.1"),
        ({**SETTINGS, "optim_wrapper.accumulative_counts": 2}, "optim_wrapper.accumulative_counts = 2 instead of none"),
    ],
)
def test_a_training_goes_on_by_the_same_steps_alone(path, now, message):
    meta = {**ORDER, "settings": SETTINGS}
    torch.save({"state_dict": nn.Linear(3, 2).state_dict(), "optimizer": {}, "meta": meta}, path)
    check_start(path, nn.Linear(3, 2), {**ORDER, **SETTINGS})
    with pytest.raises(CheckpointError, match=re.escape(f"this training has {message}, and would not")):
        check_start(path, nn.Linear(3, 2), {**ORDER, **now})


def test_what_an_old_checkpoint_does_not_say_is_not_compared(path):
    torch.save({"state_dict": nn.Linear(3, 2).state_dict(), "optimizer": {}, "meta": {"seed": 1}}, path)
    check_start(path, nn.Linear(3, 2), ORDER)
    with pytest.raises(CheckpointError, match="seed = 2 instead of 1"):
        check_start(path, nn.Linear(3, 2), {**ORDER, "seed": 2})


def test_no_training_goes_on_from_weights_alone(path):
    torch.save({"state_dict": nn.Linear(3, 2).state_dict(), "meta": {}}, path)
    check_start(path, nn.Linear(3, 2))
    with pytest.raises(CheckpointError, match=r"epoch_1\.pth holds weights alone"):
        check_start(path, nn.Linear(3, 2), ORDER)


@pytest.mark.parametrize("order", [None, ORDER])
def test_no_training_starts_from_another_model(path, order):
    with pytest.raises(CheckpointError, match=r"epoch_1\.pth is of another model: .*of another shape"):
        check_start(path, nn.Linear(4, 2), order)
