import json
import logging
import multiprocessing
import re
from pathlib import Path

import pytest
import torch

from stal.data.ledger import MIN_BAD_SAMPLES, SampleLedger
from stal.errors import BadDataError, ConfigError, VideoReadError

ERROR = VideoReadError("v.avi: cannot be decoded")
KEYS = ("u", "v", "w")


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_bad_sample_is_a_line_of_the_file(tmp_path):
    path = tmp_path / "work" / "bad_samples.jsonl"
    ledger = SampleLedger(path, 0.5, KEYS)
    ledger.record_bad(ERROR, video="v", keyframe=None)
    ledger.record_bad(ERROR, video="w", keyframe=3)
    first, second = lines_of(path)
    assert first.pop("time").endswith("+00:00")
    assert first == {"kind": "VideoReadError", "message": str(ERROR), "video": "v", "keyframe": None}
    assert second["keyframe"] == 3


def test_without_a_file_the_line_is_logged(caplog):
    with caplog.at_level(logging.WARNING):
        SampleLedger(None, 0.5, KEYS).record_bad(ERROR, video="v")
    assert '"video": "v"' in caplog.text


def write_many(ledger: SampleLedger, name: int) -> None:
    for number in range(50):
        ledger.write(name=name, number=number, text="x" * 2000)


def test_processes_that_write_at_once_do_not_tear_lines(tmp_path):
    ledger = SampleLedger(tmp_path / "bad.jsonl", 0.5, KEYS)
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=write_many, args=(ledger, name)) for name in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    lines = [(line["name"], line["number"]) for line in lines_of(ledger.path)]
    assert sorted(lines) == [(name, number) for name in range(3) for number in range(50)]


def fill(ledger: SampleLedger, num_good: int, num_bad: int) -> None:
    for _ in range(num_good):
        ledger.count_good()
    for _ in range(num_bad):
        ledger.record_bad(ERROR, video="v")


@pytest.mark.parametrize(
    ("max_bad_share", "num_good", "num_bad"),
    [
        (0.01, 0, MIN_BAD_SAMPLES),  # a few at the start may be
        (0.1, 90, 10),
        (0.1, 191, 21),
        (1.0, 0, 50),
        (0.0, 50, 0),
    ],
)
def test_a_share_of_bad_samples_may_be(tmp_path, max_bad_share, num_good, num_bad):
    ledger = SampleLedger(tmp_path / "bad.jsonl", max_bad_share, KEYS)
    fill(ledger, num_good, num_bad)
    assert (ledger.num_bad, ledger.num_samples) == (num_bad, num_good + num_bad)


@pytest.mark.parametrize(
    ("max_bad_share", "num_good", "num_bad"), [(0.01, 0, MIN_BAD_SAMPLES + 1), (0.1, 180, 21), (0.0, 50, 1)]
)
def test_one_more_stops_the_training_and_names_the_ledger(tmp_path, max_bad_share, num_good, num_bad):
    ledger = SampleLedger(tmp_path / "bad.jsonl", max_bad_share, KEYS)
    fill(ledger, num_good, num_bad - 1)
    with pytest.raises(BadDataError) as raised:
        ledger.record_bad(ERROR, video="v")
    for part in (f"{num_bad} of {num_good + num_bad}", f"max_bad_share = {max_bad_share}", "bad.jsonl (v)", str(ERROR)):
        assert part in str(raised.value)
    assert len(lines_of(ledger.path)) == num_bad  # the last one too


def test_a_damaged_video_is_a_line_and_no_bad_sample(tmp_path):
    ledger = SampleLedger(tmp_path / "bad.jsonl", 0.0, KEYS)
    ledger.record_damaged("cut off", video="w", path="w.avi")
    (line,) = lines_of(ledger.path)
    assert line.pop("time")
    assert line == {"kind": "damaged", "message": "cut off", "video": "w", "path": "w.avi"}
    assert ledger.num_samples == 0
    assert ledger.flags.tolist() == [[0, 0], [0, 0], [0, 1]]


@pytest.mark.parametrize(
    ("num_bad", "num_samples", "share", "is_refused"),
    [(0, 0, 0.0, False), (1, 100, 0.01, False), (2, 100, 0.01, True), (1, 99, 0.01, True), (9, 9, 1.0, False)],
)
def test_a_share_that_is_checked_without_a_floor(num_bad, num_samples, share, is_refused):
    ledger = SampleLedger(None, share, [str(number) for number in range(9)])
    flags = torch.tensor([[number != 1, False] for number in range(9)]).long()
    if is_refused:
        remedy = "in the log (0, 2, 3, 4, 5 and 3 more), or raise train_dataloader.dataset.max_bad_share"
        with pytest.raises(BadDataError, match=f"{num_bad} of {num_samples} .*{re.escape(remedy)}$"):
            ledger.check_share(num_bad, num_samples, flags)
    else:
        ledger.check_share(num_bad, num_samples, flags)


def test_counts_of_an_interrupted_training_are_added():
    ledger = SampleLedger(None, 1.0, KEYS)
    ledger.count_earlier(3, 40)
    fill(ledger, 2, 1)
    assert (ledger.num_bad, ledger.num_samples) == (4, 43)
    assert ledger.used == (3, 40)


def test_what_is_read_ahead_is_not_yet_used():
    ledger = SampleLedger(None, 1.0, KEYS)
    fill(ledger, 4, 1)
    first = ledger.take_counts()
    fill(ledger, 2, 0)
    second = ledger.take_counts()
    assert (first, second, ledger.take_counts(), ledger.used) == ((1, 5), (0, 2), (0, 0), (0, 0))
    ledger.count_used(first)
    assert ledger.used == (1, 5)
    ledger.count_used(second)
    assert ledger.used == (ledger.num_bad, ledger.num_samples)


def test_a_ledger_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BadDataError, match=r"bad\.jsonl: cannot be written .*, and should have: .*cannot be decoded"):
        SampleLedger(tmp_path / "file" / "bad.jsonl", 0.5, KEYS).record_bad(ERROR, video="v")


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_out_of_range_is_an_error(share):
    with pytest.raises(ConfigError, match="max_bad_share"):
        SampleLedger(None, share, KEYS)
