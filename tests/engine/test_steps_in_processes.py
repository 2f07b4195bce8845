"""Two processes make the mean of the steps that each would make alone, in any precision and of several batches."""

import json
import sys
from pathlib import Path

import pytest
import torch
from mmengine.logging import MessageHub
from torch.nn.parallel import DistributedDataParallel

from stal.engine.model import DetectionModel
from stal.engine.optim_wrapper import GuardedOptimWrapper
from stal.structures import Clip

# A step with a penalty is made in float32, whatever the precision is.
KINDS = [("float32", 1.0), ("float32", None), ("float16", None)]
CASES = [(*kind, num_batches) for kind in KINDS for num_batches in (1, 2)]


def step_of(model: DetectionModel, batches: list[list[Clip]], precision: str, *, in_ddp: bool) -> torch.Tensor:
    """Return by how much the weights change in the step that is made of some batches."""
    forward = DistributedDataParallel(model) if in_ddp else model
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    wrapper = GuardedOptimWrapper(optimizer=optimizer, precision=precision, accumulative_counts=len(batches))
    if precision == "float16":
        wrapper._scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)  # at which nothing overflows
    wrapper.initialize_count_status(model, 0, len(batches))
    before = torch.cat([weight.detach().flatten() for weight in model.parameters()])
    for number, batch in enumerate(batches):
        torch.manual_seed(number)  # of the boxes that the detector draws
        with wrapper.optim_context(forward):
            losses = forward(model.data_preprocessor.prepare(batch, True), mode="loss")
        wrapper.update_params(model.parse_losses(losses)[0])
    return torch.cat([weight.detach().flatten() for weight in model.parameters()]) - before


def main(folder: Path, rank: int) -> None:
    """Compare all cases as one of two processes, and note what was found."""
    from conftest import build_clip, build_small_model  # of this folder, from which a script imports

    torch.set_num_threads(1)
    MessageHub.get_instance("processes")
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    clips = [build_clip([[4.0 + k, 8.0, 20.0 + k, 24.0]], seed=2 * rank + k) for k in range(2)]
    found = {}
    for precision, weight, num_batches in CASES:
        batches = [clips] if num_batches == 1 else [clips[:1], clips[1:]]
        alone = step_of(build_small_model(weight).train(), batches, precision, in_ddp=False)
        together = step_of(build_small_model(weight).train(), batches, precision, in_ddp=True)
        mean = alone.clone()
        torch.distributed.all_reduce(mean)
        mean /= 2
        found[str((precision, weight, num_batches))] = {
            "step": mean.norm().item(),
            "error": (together - mean).norm().item(),
            "difference": (alone - mean).norm().item(),
        }
    (folder / f"found_{rank}.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def found(run_two_processes) -> dict[str, dict[str, float]]:
    """What two processes found, of every case."""
    return json.loads((run_two_processes(__file__) / "found_0.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_two_processes_make_the_mean_of_their_steps(case, found):
    of_case = found[str(case)]
    assert of_case["difference"] > 0.01 * of_case["step"] > 0  # their batches differ
    assert of_case["error"] < 1e-5 * of_case["step"]


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
