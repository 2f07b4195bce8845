"""Time the backbone of a config as torch.compile makes it, against the backbone as it is.

    python benchmarks/compiling.py configs/scenes_plain.py

Compiling takes minutes on a CPU; how long it took is in the table too.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from stal.engine.config import load_config
from stal.engine.runner import build_model
from stal.profiling.timing import PartTimer, take_turns


def forward(backbone: nn.Module, clips: torch.Tensor, timer: PartTimer) -> None:
    """Run the forward pass."""
    with torch.no_grad():
        backbone(clips)


def forward_and_backward(backbone: nn.Module, clips: torch.Tensor, timer: PartTimer) -> None:
    """Run both passes."""
    backbone.zero_grad(set_to_none=True)
    features = [values for values in backbone(clips) if values is not None]
    sum(values.float().mean() for values in features).backward()


def main() -> None:
    """Parse the arguments, compile, measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="config file, such as configs/scenes_plain.py")
    parser.add_argument("--repeats", type=int, default=5, help="timed; the fastest counts (default: 5)")
    arguments = parser.parse_args()
    config = load_config(arguments.config)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dataset, (height, width) = config.train_dataloader.dataset, config.train_dataloader.dataset.transform.size
    clips = torch.randn(config.train_dataloader.batch_size, 3, dataset.num_frames_clip, height, width, device=device)
    plain, compiled = (build_model(config).detector.backbone.to(device).train() for _ in range(2))
    compiled.compile(fullgraph=True)
    table = Table(
        "pass", title=f"{arguments.config}; {device}, torch {torch.__version__}", caption=str(tuple(clips.shape))
    )
    for column in ("plain, ms", "compiled, ms", "compiled / plain", "compiling, s"):
        table.add_column(column, justify="right")
    passes: dict[str, Callable[..., None]] = {"forward": forward, "forward and backward": forward_and_backward}
    for name, run in passes.items():
        start = time.perf_counter()
        run(compiled, clips, PartTimer(device))
        seconds = time.perf_counter() - start
        runs = {"plain": partial(run, plain, clips), "compiled": partial(run, compiled, clips)}
        found = take_turns(runs, device, arguments.repeats)
        before, after = (found[kind].seconds for kind in runs)
        table.add_row(name, f"{before * 1e3:.0f}", f"{after * 1e3:.0f}", f"{after / before:.2f}", f"{seconds:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
