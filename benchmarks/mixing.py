"""Time every mixer and source of masks against a training step: of the scenes' small model, and of R50 on UCF101-24.

A step is that of the config without mixing: forward and backward pass, and the optimizer. The mixers mix every clip
here, so that a config that mixes half of its clips pays less. The goal is 20 % of the small step and 5 % of R50's.

    python benchmarks/mixing.py --models small --repeats 20
"""

import argparse
import dataclasses
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from rich.console import Console
from rich.table import Table

from stal.engine.config import load_config
from stal.engine.runner import build_model
from stal.mixing.actor_cut_mix import ActorCutMix
from stal.mixing.batch_mix import BatchMix
from stal.mixing.chain import Chain, Mixer
from stal.mixing.cuboid_mix import CuboidMix
from stal.mixing.fame import FAME
from stal.mixing.layers import add_provenance
from stal.mixing.mask_sources import (
    DifferenceMasks,
    EmptyMasks,
    MaskSource,
    ProvenanceMasks,
    RandomMasks,
    SourceClipMasks,
)
from stal.mixing.penalty_rows import rows_of_actors
from stal.mixing.scene_swap import SceneSwap
from stal.mixing.still_mix import StillMix
from stal.structures import Clip, ClipBatch

CONFIGS = {"small": "scenes_plain.py", "r50": "ucf24_batchmix_pgg.py"}
NUM_ACTORS = 2

MIXERS: dict[str, Mixer] = {
    "none (provenance alone)": lambda batch, generator: add_provenance(batch),
    "BatchMix": BatchMix(probability=1.0),
    "BatchMix, silhouettes": BatchMix(probability=1.0, mask="silhouette"),
    "BatchMix, by depth": BatchMix(probability=1.0, occlusion="depth"),
    "BatchMix, feathered by 2 pixels": BatchMix(probability=1.0, feather=2),
    "BatchMix, resized and moved": BatchMix(probability=1.0, scale=(0.7, 1.4), shift=0.2, max_offset=2),
    "CuboidMix": CuboidMix(probability=1.0),
    "SceneSwap": SceneSwap(probability=1.0),
    "SceneSwap, inpainted": SceneSwap(probability=1.0, plate="inpaint"),
    "ActorCutMix": ActorCutMix(probability=1.0),
    "StillMix": StillMix(probability=1.0),
    "FAME": FAME(probability=1.0),
    "Chain of SceneSwap and BatchMix": Chain([SceneSwap(probability=1.0), BatchMix(probability=1.0)]),
}

MASK_SOURCES: dict[str, MaskSource] = {
    "ProvenanceMasks": ProvenanceMasks(),
    "ProvenanceMasks, grown by 10 %": ProvenanceMasks(grow=0.1),
    "SourceClipMasks": SourceClipMasks(),
    "DifferenceMasks": DifferenceMasks(),
    "RandomMasks, displaced": RandomMasks("displaced"),
    "RandomMasks, bernoulli": RandomMasks("bernoulli"),
    "EmptyMasks": EmptyMasks(),
}


def make_clips(config: Config, num_clips: int) -> list[Clip]:
    """Return training clips of a config's size, of noise, with actors that walk through them."""
    generator = torch.Generator().manual_seed(0)
    settings = config.train_dataloader.dataset
    num_frames, (height, width) = settings.num_frames_clip, settings.transform["size"]
    size = torch.tensor([width, height])
    walk = torch.linspace(0, 0.3, num_frames)[:, None] * torch.tensor([1.0, 0.0])
    row, column = torch.arange(height)[:, None] + 0.5, torch.arange(width) + 0.5
    clips = []
    for number in range(num_clips):
        corner = (0.4 * torch.rand(NUM_ACTORS, 1, 2, generator=generator) + walk) * size
        boxes = torch.cat([corner, corner + size * torch.tensor([0.25, 0.5])], dim=-1)
        x1, y1, x2, y2 = boxes[..., None, None].unbind(dim=2)
        ellipses = ((2 * column - x1 - x2) / (x2 - x1)) ** 2 + ((2 * row - y1 - y2) / (y2 - y1)) ** 2 < 1
        frames = torch.randint(256, (3, num_frames, height, width), generator=generator, dtype=torch.uint8)
        clips.append(
            Clip(
                frames=frames,
                boxes=boxes,
                valid=torch.ones(NUM_ACTORS, num_frames, dtype=torch.bool),
                labels=torch.arange(NUM_ACTORS),
                actor_masks=ellipses,
                video_key=str(number),
                frame_indices=torch.arange(num_frames),
                to_video=torch.tensor([1.0, 1.0, 0.0, 0.0]),
                video_size=(height, width),
                scene=number,
            )
        )
    return clips


def seconds(run: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Return the shortest time of `repeats` runs, after one that is not counted."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times[1:])


def time_step(config: Config, clips: list[Clip], device: torch.device, repeats: int) -> float:
    """Return the seconds of one training step without mixing."""
    config.model.update(penalty=None)
    config.model.data_preprocessor.update(mixer=None)
    torch.manual_seed(0)
    model = build_model(config).to(device).train()
    optim_wrapper = build_optim_wrapper(model, config.optim_wrapper)
    return seconds(lambda: model.train_step(clips, optim_wrapper), device, repeats)


def compare(name: str, device: torch.device, num_clips: int | None, repeats: int, step_repeats: int) -> Table:
    """Return the times of all mixers and sources of masks for the clips of one model."""
    config = load_config(Path(__file__).parents[1] / "configs" / CONFIGS[name])
    clips = make_clips(config, num_clips or config.train_dataloader.batch_size)
    step = time_step(config, clips, device, step_repeats)
    batch = ClipBatch.from_clips(clips).to(device)
    threads = f"CPU, {torch.get_num_threads()} threads"
    shape = " x ".join(str(length) for length in batch.clips.shape)
    table = Table(
        "mixer, or source of masks",
        title=f"{name}: {CONFIGS[name]}; {torch.cuda.get_device_name(device) if device.type == 'cuda' else threads}",
        caption=f"clips {shape}, {NUM_ACTORS} actors each, all mixed; a training step takes {1e3 * step:.1f} ms",
    )
    table.add_column("ms", justify="right")
    table.add_column("% of a step", justify="right")
    generator = torch.Generator().manual_seed(0)
    mixed = MIXERS["SceneSwap"](dataclasses.replace(batch, originals=batch.clips), generator)
    rows = rows_of_actors(mixed, torch.arange(sum(map(len, mixed.labels)), device=device))
    runs: dict[str, Callable[[], object]] = {name: partial(mixer, batch, generator) for name, mixer in MIXERS.items()}
    runs |= {name: partial(source, mixed, rows, generator) for name, source in MASK_SOURCES.items()}
    for label, run in runs.items():
        if label == next(iter(MASK_SOURCES)):
            table.add_section()
        taken = seconds(run, device, repeats)
        table.add_row(label, f"{1e3 * taken:.2f}", f"{100 * taken / step:.1f}")
    return table


def main() -> None:
    """Parse the arguments, and print a table for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--models",
        nargs="+",
        choices=CONFIGS,
        default=list(CONFIGS),
        help="`small` alone leaves out R50 (default both)",
    )
    parser.add_argument("--num-clips", type=int, help="clips of a batch (default: those of the config)")
    parser.add_argument(
        "--repeats", type=int, default=10, help="timed runs of a mixer, the fastest counts (default 10)"
    )
    parser.add_argument("--step-repeats", type=int, default=3, help="timed training steps, likewise (default 3)")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all that PyTorch finds)")
    parser.add_argument("--device", help="such as cpu (default: cuda if there is one)")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    for name in arguments.models:
        table = compare(name, device, arguments.num_clips, arguments.repeats, arguments.step_repeats)
        Console().print(table)


if __name__ == "__main__":
    main()
