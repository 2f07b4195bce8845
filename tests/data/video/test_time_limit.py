import os
import signal
import threading
import time
import zipfile
from collections import Counter

import pytest
from torch.utils.data import DataLoader, Dataset

from stal.data import masks
from stal.data.video import pyav_backend, table_cache
from stal.data.video.reader import read_frames
from stal.data.video.time_limit import time_limit
from stal.errors import ConfigError, StalError, VideoReadError
from stal.structures import Video


@pytest.fixture(autouse=True)
def nothing_is_left_over():
    """No alarm is set after a test, and its handler is the one from before."""
    handler = signal.getsignal(signal.SIGALRM)
    yield
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is handler


def wait(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.01)


def test_what_takes_longer_is_interrupted():
    start = time.monotonic()
    message = "a.avi: reading takes longer than 0.05 s.*--to tables.*read_timeout_seconds.*replace"
    with pytest.raises(VideoReadError, match=message), time_limit(0.05, "a.avi"):
        time.sleep(5)
    assert time.monotonic() - start < 2


def test_what_is_quick_enough_goes_on():
    with time_limit(5.0, "a.avi"):
        wait(0.02)
    with pytest.raises(KeyError), time_limit(5.0, "a.avi"):
        raise KeyError
    wait(0.02)


def test_a_slow_read_is_interrupted_and_leaves_the_reader_usable(videos, monkeypatch, numbers):
    time_of = pyav_backend.time_of

    def slowly(frame):
        wait(0.05)
        return time_of(frame)

    read_frames(videos / "closed.avi", range(40))
    num_open = len(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patch:
        patch.setattr(pyav_backend, "time_of", slowly)
        with pytest.raises(VideoReadError, match=r"a.avi: reading takes longer than 0.2 s"), time_limit(0.2, "a.avi"):
            read_frames(videos / "closed.avi", range(40))
    assert len(os.listdir("/proc/self/fd")) == num_open
    assert numbers(read_frames(videos / "closed.avi", [7])) == [7]


class SlowVideos(Dataset):
    """Each read takes longer than its limit."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        with time_limit(0.05, f"{index}.avi"):
            wait(5)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_there_is_a_limit_in_loader_workers_and_without_them(num_workers):
    with pytest.raises(VideoReadError, match=r"0.avi: reading takes longer than 0.05 s"):
        next(iter(DataLoader(SlowVideos(), num_workers=num_workers)))


def test_an_inner_limit_that_is_shorter_goes_first_and_the_outer_one_goes_on():
    with pytest.raises(VideoReadError, match="outer"), time_limit(0.3, "outer"):
        with pytest.raises(VideoReadError, match="inner"), time_limit(0.05, "inner"):
            wait(5)
        wait(5)


def test_an_outer_limit_that_is_shorter_goes_first():
    with pytest.raises(VideoReadError, match="outer"), time_limit(0.05, "outer"), time_limit(5.0, "inner"):
        wait(5)


def test_an_outer_limit_that_ran_out_meanwhile_comes_at_once():
    with pytest.raises(VideoReadError, match="outer"), time_limit(0.1, "outer"):
        with pytest.raises(VideoReadError, match="inner"), time_limit(0.05, "inner"):
            time.sleep(0.2) or wait(5)
        wait(5)


def test_an_alarm_of_others_is_set_again():
    calls = []
    previous = signal.signal(signal.SIGALRM, lambda number, frame: calls.append(number))
    try:
        signal.setitimer(signal.ITIMER_REAL, 2)
        with pytest.raises(VideoReadError), time_limit(0.05, "a.avi"):
            wait(5)
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] < 2
        wait(2.5)  # far longer than the machine may be busy meanwhile
        assert calls == [signal.SIGALRM]
    finally:
        signal.signal(signal.SIGALRM, previous)


def test_an_error_that_is_swallowed_comes_again(monkeypatch):
    monkeypatch.setattr("stal.data.video.time_limit._REPEAT_SECONDS", 0.05)
    swallowed = []
    with pytest.raises(VideoReadError), time_limit(0.05, "a.avi"):
        try:
            wait(5)
        except BaseException as error:
            swallowed.append(error)
        wait(5)
    assert len(swallowed) == 1


@pytest.mark.parametrize("kind", [OSError, StalError, Exception])
def test_the_block_cannot_take_the_alarm_for_a_failure_of_its_own(kind):
    swallowed = []
    with pytest.raises(VideoReadError, match="longer"), time_limit(0.05, "a.avi"):
        try:
            time.sleep(5)
        except kind as error:
            swallowed.append(error)
    assert swallowed == []


def test_an_alarm_while_a_frame_table_is_stored_reaches_the_reader_and_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setenv("STAL_CACHE", str(tmp_path))
    monkeypatch.setattr(table_cache.os, "replace", lambda *_: time.sleep(5))
    with pytest.raises(VideoReadError, match=r"a\.avi: reading takes longer than 0\.05 s"), time_limit(0.05, "a.avi"):
        table_cache.store(table_cache.Origin(tmp_path / "a.avi", 1, 1), b"table")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("what", ["video", "masks"])
def test_an_alarm_while_a_file_is_opened_is_said_to_be_one(tmp_path, monkeypatch, what):
    path = tmp_path / "a.npz"
    path.write_bytes(b"text")
    monkeypatch.setattr(type(path), "open", lambda *_, **__: time.sleep(5))
    monkeypatch.setattr(zipfile, "ZipFile", lambda *_, **__: time.sleep(5))
    video = Video("a", path, 3, 4, 5, masks_path=path)
    with pytest.raises(VideoReadError, match=r"longer than 0\.05 s"), time_limit(0.05, str(path)):
        read_frames(path, [0]) if what == "video" else masks.read_masks(video, [0])


# An error in the callback of a weak reference, of which type checking has many, is lost, which Python says.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_alarm_just_as_a_block_starts_or_ends_interrupts_it_or_is_forgotten():
    handler = signal.getsignal(signal.SIGALRM)
    outcomes = Counter()
    for index in range(3000):
        try:
            with time_limit(6e-5 + index % 90 * 1e-6, "outer"):
                try:
                    with time_limit(2e-5 + index % 70 * 1e-6, "inner"):
                        spin(2.5e-5)
                except VideoReadError as error:
                    outcomes[str(error)[:5]] += 1
                spin(2.5e-5)
            outcomes["done"] += 1
        except VideoReadError as error:
            assert str(error).startswith("outer")
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
        assert signal.getsignal(signal.SIGALRM) is handler
    assert outcomes.keys() == {"inner", "done"}


def spin(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def test_none_is_no_limit_and_other_threads_have_none():
    with time_limit(None, "a.avi"):
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    done = []

    def run():
        with time_limit(0.01, "a.avi"):
            wait(0.05)
        done.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert done == [True]


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_a_limit_is_positive(seconds):
    with pytest.raises(ConfigError, match="must be positive"), time_limit(seconds, "a.avi"):
        pass
