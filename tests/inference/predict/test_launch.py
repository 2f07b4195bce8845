"""The command line, in processes that are started in every way, killed and asked to end."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from stal.data.scenes.generate import generate
from stal.errors import ConfigError
from stal.inference.predict.launch import predict
from stal.inference.predict.results import ResultFolder
from stal.inference.predict.shards import Shard
from stal.inference.predict.videos import list_videos

ROOT = Path(__file__).parents[3]
# An untrained network's scores are low.
FLAGS = (
    "--min-score",
    "0",
    "--device",
    "cpu",
    "--cfg-options",
    "model.proposals=network",
    "model.detector.min_score=1e-6",
)
SOME_FAILED = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Six videos, and one that cannot be read."""
    folder = tmp_path_factory.mktemp("scenes")
    generate(folder, 12, splits=("iid",), width=96, height=72)
    (folder / "videos" / "empty.mp4").touch()
    return folder


@pytest.fixture
def command(config_path, checkpoint, folder):
    """Give the command line that predicts into a folder."""

    def make(out: Path, *flags: str) -> list[str]:
        return [
            str(ROOT / "tools/predict.py"),
            config_path,
            str(checkpoint),
            str(folder),
            "--out",
            str(out),
            *flags,
            *FLAGS,
        ]

    return make


def run(*arguments: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment, timeout=900)


def results_in(out: Path) -> dict[str, bytes]:
    kept = [path for name in ("tubes", "failures") for path in (out / name).rglob("*.json")]
    return {str(path.relative_to(out)): path.read_bytes() for path in kept}


@pytest.fixture(scope="module")
def alone(config_path, checkpoint, folder, tmp_path_factory) -> dict[str, bytes]:
    """The results of one process that nothing happens to."""
    out = tmp_path_factory.mktemp("alone")
    done = run(str(ROOT / "tools/predict.py"), config_path, str(checkpoint), str(folder), "--out", str(out), *FLAGS)
    assert done.returncode == SOME_FAILED, done.stderr
    assert f"1 videos have no result; {out / 'failures'} says why" in done.stderr
    results = results_in(out)
    assert len(results) == 7
    assert max(map(len, results.values())) > 1000  # tubes
    return results


@pytest.mark.slow
def test_processes_of_torchrun_have_the_results_of_one_and_wait_for_each_other(command, alone, tmp_path):
    done = run(
        "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *command(tmp_path, "--launcher", "pytorch")
    )
    assert done.returncode == 1, done.stderr  # torchrun's own, of what its processes end with
    assert f"exitcode  : {SOME_FAILED}" in done.stderr
    assert results_in(tmp_path) == alone
    merged = run(*command(tmp_path, "--merge"))
    assert merged.returncode == SOME_FAILED, merged.stderr
    assert f"6 videos: {tmp_path / 'tubes.jsonl'}" in merged.stdout
    tubes = [content for name, content in sorted(alone.items()) if name.startswith("tubes")]
    assert (tmp_path / "tubes.jsonl").read_bytes() == b"".join(tubes)


@pytest.mark.slow
def test_ray_has_the_results_of_one_process(command, alone, tmp_path):
    pytest.importorskip("ray")
    done = run(*command(tmp_path, "--launcher", "ray", "--workers", "2"))
    assert done.returncode == SOME_FAILED, done.stderr
    assert results_in(tmp_path) == alone


@pytest.mark.slow
def test_what_ends_a_run_on_ray_is_said_in_one_line_and_earlier_deaths_stay_counted(command, folder, tmp_path):
    pytest.importorskip("ray")
    (tmp_path / "tubes").touch()  # where a folder is to be
    results, videos = ResultFolder(tmp_path), list_videos([str(folder)])
    for video in videos:
        results.begin_video(video)
    done = run(*command(tmp_path, "--launcher", "ray", "--workers", "2"))
    assert done.returncode == 1, done.stderr
    assert f"error: {tmp_path / 'tubes'}" in done.stderr and "Traceback" not in done.stderr
    begun = [results.num_begun(video) for video in videos if not results.find_failure(video)]
    assert len(begun) >= 6 and set(begun) == {1}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "flags"),
    [
        (signal.SIGKILL, -9, ()),
        (signal.SIGTERM, 143, ()),
        (signal.SIGINT, 130, ()),
        (signal.SIGTERM, 143, ("--launcher", "ray", "--workers", "1")),
    ],
)
def test_a_run_that_is_ended_goes_on_and_has_the_same_results(command, alone, tmp_path, number, code, flags):
    if flags:
        pytest.importorskip("ray")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, *command(tmp_path, *flags)], env=environment, stderr=subprocess.PIPE
    ) as process:
        while not list((tmp_path / "tubes").rglob("*.json")) and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(number)
        process.communicate(timeout=300)
    assert process.returncode == code
    before = results_in(tmp_path)
    assert before.items() <= alone.items() and len(before) < len(alone)
    num_begun = len(list((tmp_path / "begun").rglob("*.txt")))
    assert num_begun <= (number == signal.SIGKILL)
    assert run(*command(tmp_path)).returncode == SOME_FAILED
    assert results_in(tmp_path) == alone
    assert not list((tmp_path / "begun").rglob("*.txt"))
    assert number == signal.SIGKILL or not list(tmp_path.rglob("*.part"))


def test_without_ray_it_says_how_to_get_it(settings, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"--launcher ray needs Ray: pip install 'stal\[ray\]'"):
        predict(settings, list_videos([str(folder)]), shard=Shard(), launcher="ray")


@pytest.mark.parametrize(
    ("changes", "num_workers", "said"),
    [
        ({"max_minutes": 1.0}, None, "--max-minutes: Ray's workers can interrupt no video"),
        ({}, 0, "--workers 0: at least 1"),
    ],
)
def test_what_ray_cannot_do_is_said(settings, folder, changes, num_workers, said):
    pytest.importorskip("ray")
    videos = list_videos([str(folder)])
    with pytest.raises(ConfigError, match=said):
        predict(replace(settings, **changes), videos, shard=Shard(), launcher="ray", num_workers=num_workers)
