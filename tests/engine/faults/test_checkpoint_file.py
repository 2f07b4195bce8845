import itertools
import multiprocessing
import os
import subprocess
import time
from io import BytesIO
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import pytest
import torch

from stal.engine.faults import checkpoint_file
from stal.engine.faults.checkpoint import find_checkpoint, read_checkpoint
from stal.engine.faults.checkpoint_file import check_file, write_checkpoint
from stal.errors import CheckpointError


def archive_of(step: int = 0, num_weights: int = 50) -> bytes:
    """What torch saves of a training after some steps."""
    with BytesIO() as file:
        torch.save({"state_dict": {"a": torch.arange(num_weights) + step}, "meta": {"iter": step}}, file)
        return file.getvalue()


@pytest.fixture
def path(tmp_path) -> Path:
    path = tmp_path / "epoch_1.pth"
    write_checkpoint(archive_of(), path)
    return path


def test_torch_opens_what_is_written_and_nothing_else_is_left(path):
    for mmap in (False, True):
        assert torch.load(path, weights_only=True, mmap=mmap)["state_dict"]["a"].tolist() == list(range(50))
    check_file(path)
    assert list(path.parent.iterdir()) == [path]


def test_a_byte_that_has_changed_is_found_wherever_it_is(path):
    content = path.read_bytes()
    before_digest = len(content) - 76
    for place in [*range(0, before_digest, 31), *range(before_digest - 22, before_digest), len(content) - 1]:
        altered = bytearray(content)
        altered[place] ^= 4
        path.write_bytes(altered)
        with pytest.raises(CheckpointError, match=r"epoch_1\.pth is broken"):
            read_checkpoint(path)


def test_a_file_that_is_cut_short_is_found_wherever_it_ends(path):
    content = path.read_bytes()
    for length in [*range(0, len(content), 37), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match=r"epoch_1\.pth"):
            read_checkpoint(path)


def test_changed_weights_in_a_file_of_others_are_found_which_torch_takes(tmp_path):
    content = bytearray(archive_of())
    content[content.index(np.arange(50).tobytes()) + 80] ^= 1
    path = tmp_path / "foreign.pth"
    path.write_bytes(content)
    assert torch.load(path, weights_only=True)["state_dict"]["a"][10] == 11
    with pytest.raises(CheckpointError, match=r"its part .*data/0 was altered"):
        read_checkpoint(path)


def test_what_is_not_read_back_as_it_was_written_takes_no_place(path, monkeypatch):
    def lose_a_block(file):
        file.flush()
        os.pwrite(file.fileno(), b"\0" * 40, 300)

    monkeypatch.setattr(checkpoint_file, "_send_to_disk", lose_a_block)
    with pytest.raises(CheckpointError, match=r"epoch_1\.pth is not read back as it was written"):
        write_checkpoint(archive_of(1), path)
    assert read_checkpoint(path)["meta"] == {"iter": 0}
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has a device that is always full")
def test_a_full_disk_is_a_clear_error_and_leaves_the_old_file(path, monkeypatch):
    part = path.with_name("full.part")
    part.symlink_to("/dev/full")
    monkeypatch.setattr("stal.data.formats.whole_file.part_path", lambda path: part)
    with pytest.raises(CheckpointError, match=r"epoch_1\.pth cannot be written \(No space left on device\).*--resume"):
        write_checkpoint(archive_of(1), path)
    assert read_checkpoint(path)["meta"] == {"iter": 0}


def test_on_a_disk_that_fills_up_the_last_one_that_had_room_stays(mount_disk):
    disk = mount_disk(400_000)
    for step in (1, 2):
        write_checkpoint(archive_of(step, num_weights=20_000), disk / f"iter_{step}.pth")
    with pytest.raises(CheckpointError, match=r"iter_3\.pth cannot be written \(No space left on device\)"):
        write_checkpoint(archive_of(3, num_weights=20_000), disk / "iter_3.pth")
    assert sorted(path.name for path in disk.iterdir()) == ["iter_1.pth", "iter_2.pth"]
    assert find_checkpoint(disk).name == "iter_2.pth"


def test_a_disk_that_becomes_read_only_is_a_clear_error(mount_disk):
    disk = mount_disk(400_000)
    write_checkpoint(archive_of(1), disk / "iter_1.pth")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(CheckpointError, match=r"iter_2\.pth cannot be written \(Read-only file system\)"):
        write_checkpoint(archive_of(2), disk / "iter_2.pth")
    assert find_checkpoint(disk).name == "iter_1.pth"


def write_for_ever(folder: Path, has_begun: Event) -> None:
    for step in itertools.count():
        write_checkpoint(archive_of(step, num_weights=200_000), folder / f"iter_{step % 2}.pth")
        has_begun.set()


def test_a_process_that_is_killed_while_it_writes_leaves_whole_files(tmp_path):
    chance, processes = np.random.default_rng(0), multiprocessing.get_context("fork")
    for _ in range(20):
        has_begun = processes.Event()
        writer = processes.Process(target=write_for_ever, args=(tmp_path, has_begun))
        writer.start()
        has_begun.wait()
        time.sleep(chance.uniform(0, 0.05))
        writer.kill()
        writer.join()
        for path in tmp_path.glob("*.pth"):
            read_checkpoint(path)
