"""Two processes agree on which batches are skipped, and on when they stop."""

import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner


class SignalInOne(Hook):
    """Ask the second of the processes to stop."""

    def __init__(self, iteration: int = -1, val_batch: int = -1) -> None:
        self.iteration = iteration
        self.val_batch = val_batch

    def before_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        if runner.rank == 1 and runner.iter == self.iteration:
            signal.raise_signal(signal.SIGTERM)

    def before_val_iter(self, runner: Runner, batch_idx: int, *_: Any, **__: Any) -> None:
        if runner.rank == 1 and batch_idx == self.val_batch:
            signal.raise_signal(signal.SIGTERM)


def outcome_of(runner: Runner) -> dict[str, Any]:
    """Train, and return how that ended."""
    from stal.engine.faults.stop import train_until_stopped
    from stal.errors import TrainingError

    end: Any = None
    try:
        train_until_stopped(runner)
    except SystemExit as error:
        end = error.code
    except TrainingError as error:
        end = str(error)
    wrapper = runner.optim_wrapper
    return {
        "end": end,
        "iteration": runner.iter,
        "schedule": runner.param_schedulers[0].last_step,
        "weights": torch.cat([weight.flatten() for weight in runner.model.parameters()]).tolist(),
        "momentum": [state["momentum_buffer"].tolist() for state in wrapper.optimizer.state_dict()["state"].values()],
    }


def main(folder: Path, rank: int) -> None:
    """Go through all cases as one of two processes, and note what came of each."""
    from conftest import read_frames, small_training  # of this folder, from which a script imports

    from stal.data import clips

    clips.read_frames, clips.damage_of = read_frames, lambda path, num_frames: None
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    in_second = {
        "loss": {"faulty": {1: "loss"}},
        "gradient": {"faulty": {1: "gradient"}},
        "accumulated": {"faulty": {1: "loss"}, "accumulative_counts": 2},
        "too many": {"faulty": {2: "loss", 3: "loss", 4: "loss"}},
    }
    found = {"none": outcome_of(small_training(folder / "none"))}
    for name, settings in in_second.items():
        settings["faulty"] = settings["faulty"] if rank else {}
        found[name] = outcome_of(small_training(folder / name, **settings))
    for name, hook in {"step": SignalInOne(iteration=3), "validation": SignalInOne(val_batch=1)}.items():
        found[f"stop in {name}"] = outcome_of(small_training(folder / f"stop in {name}", hook, validate=True))
    (folder / f"found_{rank}.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def folder(run_two_processes) -> Path:
    """Where two processes went through all cases."""
    return run_two_processes(__file__)


@pytest.fixture
def found(folder) -> list[dict[str, Any]]:
    return [json.loads((folder / f"found_{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.parametrize("name", ["none", "loss", "gradient", "accumulated", "too many", "stop in step"])
def test_both_processes_end_alike(name, found):
    first, second = (of_rank[name] for of_rank in found)
    assert first == second


@pytest.mark.parametrize(("name", "num_skipped"), [("none", 0), ("loss", 1), ("gradient", 1), ("accumulated", 1)])
def test_a_batch_of_one_process_is_skipped_by_both(name, num_skipped, found):
    assert found[0][name]["end"] is None
    assert found[0][name]["iteration"] == 6
    assert found[0][name]["schedule"] == 6 - num_skipped


@pytest.mark.parametrize(("name", "ranks"), [("loss", [1]), ("gradient", [0, 1]), ("accumulated", [1])])
def test_who_had_it_writes_it_down(name, ranks, folder):
    written = sorted(path.name for path in (folder / name / "bad_batches").iterdir())
    assert written == [f"iteration_000002_rank_{rank}.pth" for rank in ranks]


def test_the_error_of_both_names_the_samples_of_the_one(folder, found):
    for of_rank in found:
        assert "3 batches in a row" in of_rank["too many"]["end"]
        assert str(folder / "too many" / "bad_batches" / "iteration_000005_rank_1.pth") in of_rank["too many"]["end"]
        assert "rank_0" not in of_rank["too many"]["end"]


@pytest.mark.parametrize(("name", "epoch_and_iteration"), [("step", (1, 4)), ("validation", (1, 2))])
def test_a_signal_to_one_process_stops_both(name, epoch_and_iteration, folder, found):
    assert [of_rank[f"stop in {name}"]["end"] for of_rank in found] == [143, 143]
    (path,) = (folder / f"stop in {name}").glob("iter_*.pth")
    meta = torch.load(path, weights_only=True)["meta"]
    assert (meta["epoch"], meta["iter"]) == epoch_and_iteration


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
