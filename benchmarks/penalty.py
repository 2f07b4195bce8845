"""Time and peak memory of a training step with each penalty, as a ratio to the step without one.

python benchmarks/penalty.py --actors 1 2
python benchmarks/penalty.py --only exact --repeats 20

A step is the forward and the backward pass of the whole detector on a prepared batch: on the CPU the small model of
configs/_base_/scenes.py; on a GPU the SlowFast R50 8x8 of configs/_base_/ucf24.py in mixed precision, which steps of a
penalty that needs input gradients leave, as in training. The steps of all penalties alternate, and the fastest of each
counts. On the CPU times are processor time, which other work on the machine changes little. Peak memory is on a GPU the
most that PyTorch had allocated; on the CPU the most that a fresh process grew by over its first steps (Linux).

Where the finite difference is among the penalties, a line below the table says how far the gradient of its term with
respect to the weights, which start at random, is from the exact one.
"""

import argparse
import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from rich.console import Console
from rich.table import Table

from stal.engine.build import build
from stal.engine.model import DetectionModel
from stal.engine.preprocessor import ClipPreprocessor, PreparedBatch
from stal.losses.albar import ALBAR
from stal.losses.gradient_penalty import GradientPenalty
from stal.losses.group_dro import GroupDRO
from stal.losses.penalty import Penalty
from stal.losses.pgd_ex import PGDEx
from stal.losses.sdn import SDN
from stal.models.detector import TubeDetector
from stal.profiling.random_clips import random_clips

CONFIGS = Path(__file__).parents[1] / "configs" / "_base_"
NUM_SCENES = 4
NONE, EXACT, DIFFERENCE = "none", "exact", "finite difference"
INTERVAL = 4


@dataclass(frozen=True)
class Case:
    """A detector, and a batch that it is trained on."""

    name: str
    config: str
    num_clips: int
    clip_size: tuple[int, int, int]  # frames, height, width
    mixed_precision: bool


SMALL = Case("small", "scenes.py", num_clips=4, clip_size=(16, 72, 96), mixed_precision=False)
R50 = Case("R50 8x8", "ucf24.py", num_clips=8, clip_size=(32, 224, 224), mixed_precision=True)

PENALTIES: dict[str, Callable[[TubeDetector], Penalty | None]] = {
    NONE: lambda detector: None,
    EXACT: lambda detector: GradientPenalty(1e-3),
    f"exact, every {INTERVAL}th step": lambda detector: GradientPenalty(1e-3, interval=INTERVAL),
    "exact, one actor a clip": lambda detector: GradientPenalty(1e-3, subset="one_actor"),
    "exact, half of the clips": lambda detector: GradientPenalty(1e-3, subset=0.5),
    "exact, random signs": lambda detector: GradientPenalty(1e-3, target="random_signs"),
    "exact, sum of log-probabilities (RRR)": lambda detector: GradientPenalty(1e-3, target="sum_log_probability"),
    "exact, averaged over time": lambda detector: GradientPenalty(1e-3, squared="time"),
    "exact, averaged over (8, 4, 4)": lambda detector: GradientPenalty(1e-3, squared="block", blocks=(8, 4, 4)),
    "exact, ratio": lambda detector: GradientPenalty(1e-3, squared="ratio"),
    DIFFERENCE: lambda detector: GradientPenalty(1e-3, estimator="finite_difference"),
    "PGD-Ex": lambda detector: PGDEx(1.0),
    "PGD-Ex, noise": lambda detector: PGDEx(1.0, kind="noise"),
    "ALBAR": lambda detector: ALBAR(1.0),
    "SDN": lambda detector: SDN(1.0, num_scenes=NUM_SCENES, in_channels=detector.classifier.logits.in_features),
    "GroupDRO": lambda detector: GroupDRO(
        1.0, num_classes=detector.classifier.logits.out_features, num_scenes=NUM_SCENES
    ),
}


def build_detector(case: Case) -> TubeDetector:
    """Return the detector of a case, with the same random weights every time."""
    torch.manual_seed(0)
    return build(Config.fromfile(CONFIGS / case.config).model.detector)


def random_batch(case: Case, num_actors: int, device: torch.device) -> PreparedBatch:
    """Return clips of noise in which actors move to the right, side by side."""
    clips = random_clips(case.num_clips, case.clip_size, num_actors=num_actors, num_scenes=NUM_SCENES)
    return ClipPreprocessor(seed=0).to(device).prepare(clips, training=True)


def training_step(model: DetectionModel, inputs: PreparedBatch, case: Case, number: int) -> None:
    """Take the gradient of all losses on step `number` of a training."""
    MessageHub.get_current_instance().update_info("iter", number)
    device = inputs.batch.clips.device
    model.zero_grad(set_to_none=True)
    with torch.autocast(device.type, dtype=torch.bfloat16) if case.mixed_precision else nullcontext():
        losses = model(inputs, mode="loss")
    model.parse_losses(losses)[0].backward()
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def build_model(name: str, detector: TubeDetector, device: torch.device) -> DetectionModel:
    """Return a model that trains the detector with the penalty of this name."""
    model = DetectionModel(detector, ClipPreprocessor(seed=0), penalty=PENALTIES[name](detector))
    return model.to(device).train()


def measure_seconds(
    names: list[str], case: Case, num_actors: int, device: torch.device, repeats: int
) -> dict[str, float]:
    """Return the shortest time of a step with each penalty, in turns, after one that is not counted."""
    detector, inputs = build_detector(case), random_batch(case, num_actors, device)
    models = {name: build_model(name, detector, device) for name in names}
    times: dict[str, list[float]] = {name: [] for name in names}
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    for _ in range(repeats + 1):
        for name, model in models.items():
            num_steps = 1 if model.penalty is None else model.penalty.schedule.interval
            start = clock()
            for number in range(num_steps):
                training_step(model, inputs, case, number)
            times[name].append((clock() - start) / num_steps)
    return {name: min(taken[1:]) for name, taken in times.items()}


def measure_bytes(name: str, case: Case, num_actors: int, device: torch.device) -> int:
    """Return the peak memory of the first steps with a penalty; on the CPU this has to be a fresh process."""
    inputs = random_batch(case, num_actors, device)
    model = build_model(name, build_detector(case), device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    before = 0 if device.type == "cuda" else peak_resident_bytes()
    for _ in range(2):
        training_step(model, inputs, case, number=0)
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else peak_resident_bytes() - before


def penalty_gradient(name: str, case: Case, num_actors: int, device: torch.device) -> torch.Tensor:
    """Return the gradient of a gradient penalty alone with respect to all weights, on the first step."""
    model = build_model(name, build_detector(case), device)
    MessageHub.get_current_instance().update_info("iter", 0)
    torch.manual_seed(0)  # of the dropout
    loss = model(random_batch(case, num_actors, device), mode="loss")["loss_pgg"]
    weights = list(model.parameters())
    gradients = torch.autograd.grad(loss, weights, materialize_grads=True)
    return torch.cat([gradient.flatten() for gradient in gradients])


def describe_difference(case: Case, num_actors: int, device: torch.device) -> str:
    """Return how far the parameter gradient of the finite difference is from the exact one."""
    exact, estimate = (penalty_gradient(name, case, num_actors, device).double() for name in (EXACT, DIFFERENCE))
    cosine = torch.cosine_similarity(exact, estimate, dim=0).item()
    error = ((estimate - exact).norm() / exact.norm()).item()
    return f"{DIFFERENCE}: gradient of the term against the exact one: cosine {cosine:.3f}, relative error {error:.3f}"


def peak_resident_bytes() -> int:
    """Return the most memory that this process has had, as Linux tells it; getrusage would inherit its parent's."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].removesuffix("kB")) * 1024


def measure_all_bytes(names: list[str], case: Case, num_actors: int, device: torch.device) -> Iterator[int]:
    """Return the peak memory with each penalty."""
    measure = partial(measure_bytes, case=case, num_actors=num_actors, device=device)
    if device.type == "cuda":
        yield from map(measure, names)
        return
    # One task a process: the peak of a process never falls.
    with multiprocessing.get_context("spawn").Pool(
        1, torch.set_num_threads, (torch.get_num_threads(),), maxtasksperchild=1
    ) as pool:
        yield from pool.imap(measure, names)


def main() -> None:
    """Parse the arguments, measure every penalty on every device, and print a table for each number of actors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--actors", type=int, nargs="+", default=[1, 2], help="actors a clip (default: 1 2)")
    parser.add_argument("--only", default="", help="measure only penalties that have this in their names")
    parser.add_argument("--repeats", type=int, default=5, help="timed steps, of which the fastest counts (default 5)")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all that PyTorch finds)")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)

    names = [name for name in PENALTIES if name == NONE or arguments.only in name]
    devices = {f"CPU, {torch.get_num_threads()} threads": (SMALL, torch.device("cpu"))}
    if torch.cuda.is_available():
        devices[torch.cuda.get_device_name()] = (R50, torch.device("cuda"))
    for device_name, (case, device) in devices.items():
        frames, height, width = case.clip_size
        for num_actors in arguments.actors:
            seconds = measure_seconds(names, case, num_actors, device, arguments.repeats)
            memory = dict(zip(names, measure_all_bytes(names, case, num_actors, device), strict=True))
            table = Table(
                "penalty",
                title=f"{case.name}; {device_name}",
                caption=f"{case.num_clips} clips of {frames} x {height} x {width}; actors a clip: {num_actors}"
                + ("; mixed precision" if case.mixed_precision else ""),
            )
            for column in ("ms", "ratio", "peak MiB", "ratio"):
                table.add_column(column, justify="right")
            for name in names:
                table.add_row(
                    name,
                    f"{seconds[name] * 1e3:.0f}",
                    f"{seconds[name] / seconds[NONE]:.2f}",
                    f"{memory[name] / 2**20:.0f}",
                    f"{memory[name] / memory[NONE]:.2f}",
                )
            Console().print(table)
            if DIFFERENCE in names:
                Console().print(describe_difference(case, num_actors, device))


if __name__ == "__main__":
    main()
