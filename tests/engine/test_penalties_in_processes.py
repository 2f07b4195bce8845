"""Two processes under DistributedDataParallel get the mean of the gradients that each has without it.

And so that of one process which is given both batches, each mixed by itself, as the processes mix theirs.
"""

import dataclasses
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from mmengine.logging import MessageHub
from torch.nn.parallel import DistributedDataParallel

from stal.engine.model import DetectionModel
from stal.engine.preprocessor import PreparedBatch
from stal.losses.albar import ALBAR
from stal.losses.gradient_penalty import GradientPenalty
from stal.losses.group_dro import GroupDRO
from stal.losses.penalty import Penalty
from stal.losses.pgd_ex import PGDEx
from stal.losses.sdn import SDN
from stal.mixing.batch_mix import BatchMix
from stal.structures import Clip, ClipBatch

NUM_FEATURES = 320  # of an actor, in the small detector

# Due from the second step on: the first one tells what the gradient is without them.
PENALTIES: dict[str, Callable[[], Penalty]] = {
    "exact": lambda: GradientPenalty(1.0, start_step=1),
    "share of clips": lambda: GradientPenalty(1.0, subset=0.5, start_step=1),
    "PGD-Ex": lambda: PGDEx(1.0, num_steps=1, start_step=1),
    "ALBAR": lambda: ALBAR(1.0, start_step=1),
    "SDN": lambda: SDN(1.0, num_scenes=2, in_channels=NUM_FEATURES, start_step=1),
    "GroupDRO": lambda: GroupDRO(1.0, num_classes=3, num_scenes=2, start_step=1),
}
BATCHES = ("actors in both", "actors in one")


def gradient(model: DetectionModel, clips: list[Clip], *, num_steps: int, in_ddp: bool = False) -> torch.Tensor:
    """Return the gradient of all losses of the last of some steps, in which the weights stay as they are."""
    forward = DistributedDataParallel(model) if in_ddp else model
    for step in range(num_steps):
        MessageHub.get_current_instance().update_info("iter", step)
        torch.manual_seed(7)  # of the boxes that the detector draws
        model.zero_grad()
        losses = forward(model.data_preprocessor.prepare(clips, True), mode="loss")
        model.parse_losses(losses)[0].backward()
    return torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.requires_grad])


def mean_over_processes(values: torch.Tensor) -> torch.Tensor:
    total = values.clone()
    torch.distributed.all_reduce(total)
    return total / torch.distributed.get_world_size()


def compare(make_model: Callable[[], DetectionModel], clips: list[Clip]) -> dict[str, float]:
    """Return the norms of the gradient in DDP, of the penalty's part of it, and of how far it is from the mean.

    Each is of a new model, since some penalties learn.
    """
    plain, mean = (mean_over_processes(gradient(make_model(), clips, num_steps=number)) for number in (1, 2))
    together = gradient(make_model(), clips, num_steps=2, in_ddp=True)
    return {name: v.norm().item() for name, v in (("all", mean), ("penalty", mean - plain), ("error", together - mean))}


def join(batches: list[ClipBatch]) -> ClipBatch:
    """Return one batch of mixed clips of all; what tells sources by the clips of a batch is left out."""
    of_actors = ("boxes", "valid", "labels", "label_weights")
    return dataclasses.replace(
        batches[0],
        **{name: torch.cat([getattr(b, name) for b in batches]) for name in ("clips", "provenance", "scenes")},
        **{name: tuple(row for b in batches for row in getattr(b, name)) for name in of_actors},
        sources=None,
        voxel_sources=None,
    )


def compare_with_joined(model: DetectionModel, clips: list[Clip], joined: ClipBatch) -> dict[str, float]:
    """Return the norm of the gradient of a joined batch, and of how far from it that in DDP is, with mixed clips."""
    together = gradient(model, clips, num_steps=1, in_ddp=True)
    model.zero_grad()
    losses = model(PreparedBatch(joined, ()), mode="loss")
    model.parse_losses(losses)[0].backward()
    alone = torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.requires_grad])
    penalty = losses["loss_pgg"].item()
    return {"all": alone.norm().item(), "penalty": penalty, "error": (together - alone).norm().item()}


def main(folder: Path, rank: int) -> None:
    """Compare all cases as one of two processes, and note what was found."""
    from conftest import build_clip, build_clips, build_small_model  # of this folder, from which a script imports

    def make_mixing_model() -> DetectionModel:
        model = build_small_model(GradientPenalty(1.0), BatchMix(probability=1.0), proposals="ground_truth").train()
        model.detector.num_samples = 16  # all that there are: which are drawn is no matter of chance
        return model

    def make_model(name: str) -> DetectionModel:
        torch.manual_seed(3)  # of the penalty's weights
        return build_small_model(PENALTIES[name]()).train()

    torch.set_num_threads(1)
    MessageHub.get_instance("processes")
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    boxes_of_last = {"actors in both": [[4.0, 8.0, 20.0, 24.0]], "actors in one": []}
    found = {}
    for name in PENALTIES:
        for batch in BATCHES:
            clips = [build_clip(boxes_of_last[batch], seed=5)] if rank else build_clips()
            found[f"{name}, {batch}"] = compare(partial(make_model, name), clips)
    of_ranks = [
        [build_clip([[4.0 + k, 8.0, 20.0 + k, 24.0]], seed=2 * of_rank + k) for k in range(2)] for of_rank in range(2)
    ]
    mixed: list[ClipBatch | None] = [None, None]
    torch.distributed.all_gather_object(
        mixed, make_mixing_model().data_preprocessor.prepare(of_ranks[rank], True).batch
    )
    found["joined"] = compare_with_joined(make_mixing_model(), of_ranks[rank], join(mixed))
    (folder / f"found_{rank}.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def found(run_two_processes) -> dict[str, dict[str, float]]:
    """What two processes found, of every case."""
    return json.loads((run_two_processes(__file__) / "found_0.json").read_text())


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("name", PENALTIES)
def test_the_gradient_in_ddp_is_the_mean_of_those_of_the_processes(name, batch, found):
    of_case = found[f"{name}, {batch}"]
    assert of_case["penalty"] > 1e-4 * of_case["all"]
    assert of_case["error"] < 1e-4 * of_case["penalty"] + 1e-6 * of_case["all"]  # or rounding


def test_two_processes_that_mix_and_punish_have_the_gradient_of_one_with_their_joined_batch(found):
    assert found["joined"]["penalty"] > 0
    assert found["joined"]["error"] < 1e-5 * found["joined"]["all"]


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
