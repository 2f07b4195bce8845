"""Clips a second of training in 1, 2, ... processes, and how much of the ideal that is.

python benchmarks/scaling.py
torchrun is not needed: the processes are started here, over gloo on CPUs, one thread each, or over NCCL on GPUs.

A step is the forward and the backward pass, with the averaging of gradients, of the model of benchmarks/penalty.py with
exact PGG on a batch of its own for each process. All processes wait for each other before the first and after the last
of the timed steps; rounds with one process and with several alternate, and the fastest round of each counts. The ratio
is to one process: with k processes k is ideal, and the efficiency is the ratio divided by k. On one machine that does
other work too, the numbers are lower bounds.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import torch
from mmengine.logging import MessageHub
from penalty import EXACT, R50, SMALL, build_detector, build_model, random_batch, training_step
from rich.console import Console
from rich.table import Table
from torch.nn.parallel import DistributedDataParallel


class DetectionDDP(DistributedDataParallel):
    """A wrapper that parses losses as the model does."""

    def parse_losses(self, losses: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return the sum of the losses, and each."""
        return self.module.parse_losses(losses)


def work(rank: int, num_processes: int, num_steps: int, folder: str) -> None:
    """Train as one of the processes; the first writes how many seconds the steps took."""
    on_gpu = torch.cuda.is_available()
    torch.set_num_threads(1)
    device = torch.device("cuda", rank) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(device)
    MessageHub.get_instance("scaling")
    torch.distributed.init_process_group(
        "nccl" if on_gpu else "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=num_processes
    )
    case = R50 if on_gpu else SMALL
    inputs = random_batch(case, num_actors=1, device=device)
    model = build_model(EXACT, build_detector(case), device)
    wrapped = DetectionDDP(model, device_ids=[rank] if on_gpu else None) if num_processes > 1 else model
    training_step(wrapped, inputs, case, number=0)
    torch.distributed.barrier()
    start = time.perf_counter()
    for number in range(num_steps):
        training_step(wrapped, inputs, case, number)
    torch.distributed.barrier()
    if rank == 0:
        (Path(folder) / "seconds").write_text(str(time.perf_counter() - start))
    torch.distributed.destroy_process_group()


def measure_seconds(num_processes: int, num_steps: int) -> float:
    """Return the seconds of some steps in this number of processes."""
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(work, (num_processes, num_steps, folder), nprocs=num_processes)
        return float((Path(folder) / "seconds").read_text())


def main() -> None:
    """Parse the arguments, measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10, help="timed steps a round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of which the fastest counts (default: %(default)s)")
    arguments = parser.parse_args()
    on_gpu = torch.cuda.is_available()
    most = torch.cuda.device_count() if on_gpu else len(os.sched_getaffinity(0))
    numbers = [number for number in (1, 2, 4, 8) if number <= most]
    seconds = {number: float("inf") for number in numbers}
    for _ in range(arguments.rounds):
        for number in numbers:
            seconds[number] = min(seconds[number], measure_seconds(number, arguments.steps))
    case = R50 if on_gpu else SMALL
    where = torch.cuda.get_device_name() if on_gpu else f"CPU of {most} cores, one thread a process"
    table = Table("processes", title=f"{case.name} + exact PGG, {case.num_clips} clips a process; {where}")
    for column in ("ms a step", "clips/s", "ratio", "efficiency"):
        table.add_column(column, justify="right")
    for number, taken in seconds.items():
        ratio = number * seconds[1] / taken
        table.add_row(
            str(number),
            f"{taken / arguments.steps * 1e3:.0f}",
            f"{number * case.num_clips * arguments.steps / taken:.2f}",
            f"{ratio:.2f}",
            f"{ratio / number:.0%}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
