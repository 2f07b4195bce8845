"""Two processes, of which the first acts for both."""

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch

from stal.engine.faults.first_process import in_first_process
from stal.errors import CheckpointError, StalError


def act(rank: int, store: Path, connection: Connection, fails: bool) -> None:
    torch.distributed.init_process_group("gloo", f"file://{store}", rank=rank, world_size=2)
    acted = []

    def action() -> str:
        acted.append(rank)
        if fails:
            raise CheckpointError("the disk is full")
        return f"done by {rank}"

    try:
        outcome = in_first_process(action)
    except StalError as error:
        outcome = repr(error)
    connection.send((outcome, acted))
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize(
    ("fails", "outcome"), [(False, "done by 0"), (True, "CheckpointError('the disk is full')")], ids=["done", "failed"]
)
def test_what_comes_of_it_comes_in_every_process(tmp_path, fails, outcome):
    processes, connections = [], []
    for rank in range(2):
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("fork").Process(target=act, args=(rank, tmp_path / "s", theirs, fails))
        process.start()
        processes.append(process)
        connections.append(ours)
    assert [connection.recv() for connection in connections] == [(outcome, [0]), (outcome, [])]
    for process in processes:
        process.join()


def test_one_process_acts_for_itself():
    assert in_first_process(lambda: 3) == 3
