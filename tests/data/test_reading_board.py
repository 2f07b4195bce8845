"""What a loader's workers read, as the process sees it that waits for them."""

import os
import time

import pytest
from torch.utils.data import DataLoader, Dataset

from stal.data.reading_board import ReadingBoard

PATHS = ["a.avi", "b.avi"]


class Files(Dataset):
    """Files of which reading the second fails, and the third sample reads for long."""

    def __init__(self, board: ReadingBoard) -> None:
        self.board = board

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> int:
        with self.board.reading(min(index, 1)):
            if index == 1:
                raise ValueError("broken")
            if index == 2:
                time.sleep(60)
        return os.getpid()


def loader_of(board: ReadingBoard, sampler: list[int]) -> DataLoader:
    return DataLoader(
        Files(board),
        None,
        sampler=sampler,
        num_workers=1,
        worker_init_fn=lambda _: board.sign_in(),
        multiprocessing_context="fork",
    )


def test_a_board_without_workers_is_empty():
    board = ReadingBoard(PATHS)
    board.sign_in()
    with board.reading(0):
        assert board.entries() == []


@pytest.mark.parametrize("index", [0, 1])
def test_what_was_read_or_could_not_be_is_taken_off(index):
    board = ReadingBoard(PATHS)
    batches = iter(loader_of(board, [index]))
    if index == 1:
        with pytest.raises(ValueError, match="broken"):
            next(batches)
    else:
        next(batches)
    (entry,) = board.entries()
    assert str(entry) == f"worker 0 (process {entry.pid}) reads nothing"


def test_what_is_being_read_stands_there_with_its_time():
    board = ReadingBoard(PATHS)
    batches = iter(loader_of(board, [0, 2]))
    pid = next(batches)
    deadline = time.monotonic() + 30
    while board.entries()[0].path is None and time.monotonic() < deadline:
        time.sleep(0.01)
    first = board.entries()[0]
    time.sleep(0.1)
    second = board.entries()[0]
    assert (first.worker, first.pid, first.path) == (0, pid, "b.avi")
    assert 0 <= first.seconds < 30 and second.seconds >= first.seconds + 0.1
    assert f"worker 0 (process {pid}) has been reading b.avi for " in str(second)
