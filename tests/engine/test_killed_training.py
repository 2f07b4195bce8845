"""`tools/train.py` that is killed at random moments, next to one that is not. STAL_NUM_KILLS says how often."""

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from stal.data.scenes import generate

NUM_KILLS = int(os.environ.get("STAL_NUM_KILLS", "2"))
NUM_EPOCHS = 3 * NUM_KILLS
NUM_STEPS = 6 * NUM_EPOCHS
MAX_STEPS_ALIVE = 14  # so that it is not done before the last kill
NOT_EXACT = {"time", "data_time", "data_share", "memory"}


@pytest.fixture(params=[1, 2], ids=["alone", "two processes"])
def start(start_training, tmp_path, request) -> Callable[[Path], subprocess.Popen]:
    """Begin or go on with a training in epochs of six steps, a checkpoint every five, in the work directory given."""
    generate(tmp_path / "scenes", 4, splits=("train", "iid"), width=96, height=72)
    settings = {
        "train_dataloader.num_workers": 1,
        "train_dataloader.dataset.clips_per_video": 3 * request.param,
        "train_cfg.max_epochs": NUM_EPOCHS,
        "validation.split": "iid",
        "validation.num_videos": 1,
        "validation.num_pictures": 0,
        "default_hooks.checkpoint.by_epoch": False,
        "default_hooks.checkpoint.interval": 5,
    }
    return lambda work_dir: start_training(
        tmp_path / "scenes", work_dir, "--resume", num_processes=request.param, settings=settings
    )


def wait_until_alive_for(process: subprocess.Popen, work_dir: Path, number: int, num_steps: int) -> None:
    """Wait until the training has been begun, or resumed, the `number`-th time and has logged this many steps since."""
    while len(logs := sorted(work_dir.glob("*/vis_data"))) < number or num_lines(logs[-1]) < num_steps:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)


def kill(pid: int) -> None:
    """Kill a process and all that it has started, as those of torchrun would train on."""
    with suppress(FileNotFoundError, ProcessLookupError):  # workers end by themselves
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(pid, signal.SIGKILL)
        for child in children:
            kill(int(child))


def num_lines(folder: Path) -> int:
    log = folder / "scalars.json"
    return log.read_text().count("\n") if log.exists() else 0


def finish(process: subprocess.Popen) -> str:
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    return output


def checkpoint(work_dir: Path) -> dict[str, Any]:
    return torch.load(work_dir / f"iter_{NUM_STEPS}.pth", weights_only=True)


def logged(work_dir: Path) -> dict[tuple[bool, int], dict[str, float]]:
    """Return what was logged of every step and of every validation; where it was done again, it must be the same."""
    lines: dict[tuple[bool, int], dict[str, float]] = {}
    for path in sorted(work_dir.glob("*/vis_data/scalars.json")):
        for text in path.read_text().splitlines():
            if text.endswith("}"):  # the last line may be cut off
                line = {name: value for name, value in json.loads(text).items() if name not in NOT_EXACT}
                assert lines.setdefault(("lr" in line, line["step"]), line) == line
    return lines


@pytest.mark.slow
def test_a_training_that_is_killed_at_random_moments_ends_as_one_that_was_not(start, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert finish(start(whole)).count("trained: ") == 1  # the first process says it for all

    chance = random.Random(0)
    reached = []
    for number in range(1, NUM_KILLS + 1):
        process = start(killed)
        wait_until_alive_for(process, killed, number, chance.randint(0, MAX_STEPS_ALIVE))
        time.sleep(chance.uniform(0, 0.2))
        kill(process.pid)
        process.communicate()
        reached.append(max((int(path.stem[5:]) for path in killed.glob("iter_*.pth")), default=0))
    finish(start(killed))
    print(f"\niterations of the last checkpoint after each of {NUM_KILLS} kills: {reached}")

    expected, found = checkpoint(whole), checkpoint(killed)
    assert expected["state_dict"].keys() == found["state_dict"].keys()
    assert all(torch.equal(weight, found["state_dict"][name]) for name, weight in expected["state_dict"].items())
    for row, state in expected["optimizer"]["state"].items():
        assert all(torch.equal(value, found["optimizer"]["state"][row][name]) for name, value in state.items())
    assert expected["param_schedulers"] == found["param_schedulers"]
    assert logged(killed) == logged(whole)
    assert len(logged(whole)) == NUM_STEPS + NUM_EPOCHS
    assert not list(killed.glob("*.part*"))
