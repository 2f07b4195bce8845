"""Two processes, of which the first acts for both."""

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch

from stal.engine.faults.first_process import in_first_process
from stal.errors import CheckpointError, StalError


def act(rank: int, store: Path, connection: Connection, error: Exception | None) -> None:
    torch.distributed.init_process_group("gloo", f"file://{store}", rank=rank, world_size=2)
    acted = []

    def action() -> str:
        acted.append(rank)
        if error is not None:
            raise error
        return f"done by {rank}"

    try:
        outcome = in_first_process(action)
    except (StalError, KeyError) as raised:
        outcome = repr(raised)
    connection.send((outcome, acted))
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize(
    ("error", "outcomes"),
    [
        (None, ["done by 0", "done by 0"]),
        (CheckpointError("the disk is full"), ["CheckpointError('the disk is full')"] * 2),
        (KeyError("meta"), ["KeyError('meta')", "StalError(\"the first process ended: KeyError: 'meta'\")"]),
    ],
    ids=["done", "failed", "failed by a fault in the code"],
)
def test_what_comes_of_it_comes_in_every_process(tmp_path, error, outcomes):
    processes, connections = [], []
    for rank in range(2):
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("fork").Process(target=act, args=(rank, tmp_path / "s", theirs, error))
        process.start()
        processes.append(process)
        connections.append(ours)
    assert [connection.recv() for connection in connections] == [(outcomes[0], [0]), (outcomes[1], [])]
    for process in processes:
        process.join()


def test_one_process_acts_for_itself():
    assert in_first_process(lambda: 3) == 3
