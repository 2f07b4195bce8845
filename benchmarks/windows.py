"""What two windows of a video that overlap have in common inside SlowFast R50, stage by stage, to the last bit.

python benchmarks/windows.py
python benchmarks/windows.py --step 8 --norm group

Features on a frame that two windows share are the same only if nothing that they are made of differs: neither the
padding at the ends of a window, nor the frames that the slow pathway sees, nor statistics over a window. Weights are
random. docs/inference.md says what follows.
"""

import argparse
from typing import NamedTuple

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from stal.models.backbone import SlowFast

NUM_FRAMES = 32
SIZE = (112, 152)  # half of UCF101's 224 x 304: neither what is equal nor the shares of the work depend on it


class Stage(NamedTuple):
    """What a stage gives, and the work up to its end."""

    pathways: tuple[Tensor, ...]
    flops: int


@torch.no_grad()
def stages_of(backbone: SlowFast, clip: Tensor) -> list[Stage]:
    """Return what each stage of a backbone gives for a clip (1, 3, T, H, W)."""
    stages: list[Stage] = []
    counter = FlopCounterMode(display=False)

    def note(block: nn.Module, inputs: tuple[object, ...], output: list[Tensor]) -> None:
        stages.append(Stage(tuple(output), counter.get_total_flops()))

    hooks = [block.register_forward_hook(note) for block in backbone.blocks]
    with counter:
        backbone(clip)
    for hook in hooks:
        hook.remove()
    return stages


def in_common(first: Tensor, second: Tensor, frames: list[int], step: int) -> tuple[int, int]:
    """Return how many features (1, C, T, H, W) of two windows are equal, of how many on the same frame of the video.

    Args:
        first: of one window.
        second: of the window that starts `step` frames later.
        frames: the frames of a window that features are of.
        step: frames from one window to the next.
    """
    place = {frame: index for index, frame in enumerate(frames)}
    pairs = [(place[frame + step], index) for index, frame in enumerate(frames) if frame + step in place]
    return sum(torch.equal(first[:, :, i], second[:, :, j]) for i, j in pairs), len(pairs)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--step", type=int, default=16, help="frames from one window to the next (default: 16)")
    parser.add_argument("--norm", choices=("frozen_batch", "group"), default="frozen_batch")
    args = parser.parse_args()
    torch.manual_seed(0)
    backbone = SlowFast(norm=args.norm).eval()
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm3d | nn.GroupNorm):
            nn.init.uniform_(module.weight, 0.5, 1.0)  # those of an untrained network switch its blocks off
    video = torch.randn(1, 3, NUM_FRAMES + args.step, *SIZE)
    windows = [stages_of(backbone, video[:, :, start:][:, :, :NUM_FRAMES]) for start in (0, args.step)]
    slow_frames = backbone.slow_frames(NUM_FRAMES).tolist()
    table = Table("stage", "share of the work", "slow frames", "fast frames")
    table.title = f"equal features of two windows of {NUM_FRAMES} frames, {args.step} apart, norm {args.norm}"
    done = 0
    for number, (first, second) in enumerate(zip(*windows, strict=True)):
        counts = [
            "{} of {}".format(*in_common(of_first, of_second, frames, args.step))
            for of_first, of_second, frames in zip(
                first.pathways, second.pathways, (slow_frames, list(range(NUM_FRAMES))), strict=True
            )
        ]
        share = (first.flops - done) / windows[0][-1].flops
        table.add_row("stem" if number == 0 else f"res{number + 1}", f"{share:.1%}", *counts)
        done = first.flops
    Console().print(table)


if __name__ == "__main__":
    main()
