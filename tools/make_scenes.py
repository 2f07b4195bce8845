"""Generate the data set `scenes`: videos of actions whose scene gives the action away, and tests where it does not."""

import argparse
import os
import sys
import time

from rich.console import Console
from rich.table import Table

from stal.data.scenes import SPLITS, generate
from stal.errors import StalError
from stal.structures import Annotations

EXAMPLE = "example: python tools/make_scenes.py data/scenes --videos 400 --correlation 0.9 --seed 0 --jobs 2"


def size(text: str) -> tuple[int, int]:
    """Parse `160x120`."""
    width, height = text.split("x")
    return int(width), int(height)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE)
    parser.add_argument("out", help="folder to make; it gets annotations.json, videos/ and masks/")
    parser.add_argument("--videos", type=int, default=400, help="training videos; each test split has half (400)")
    parser.add_argument("--correlation", type=float, default=0.9, help="how often the scene is the action's (0.9)")
    parser.add_argument("--seed", type=int, default=0, help="seed of all chance (0)")
    parser.add_argument("--splits", nargs="+", choices=SPLITS, default=SPLITS, help="splits to make (all)")
    parser.add_argument("--size", type=size, default=(160, 120), help="width x height of the videos (160x120)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (one a core)")
    parser.add_argument("--overwrite", action="store_true", help="replace a data set that is in the folder already")
    return parser.parse_args()


def print_summary(annotations: Annotations, elapsed_seconds: float) -> None:
    table = Table(title=f"made in {elapsed_seconds:.0f} s")
    for column in ("split", "videos", "tubes", "seconds of video"):
        table.add_column(column, justify="left" if column == "split" else "right")
    for split in sorted({video.split for video in annotations.videos}, key=SPLITS.index):
        videos = annotations.of_split(split).videos
        seconds = sum(video.num_frames / (video.fps or 1) for video in videos)
        table.add_row(split, str(len(videos)), str(sum(len(video.tubes) for video in videos)), f"{seconds:.0f}")
    Console().print(table)


def main() -> int:
    arguments = parse_arguments()
    start = time.monotonic()
    try:
        annotations = generate(
            arguments.out,
            num_videos=arguments.videos,
            correlation=arguments.correlation,
            seed=arguments.seed,
            splits=arguments.splits,
            width=arguments.size[0],
            height=arguments.size[1],
            jobs=arguments.jobs,
            overwrite=arguments.overwrite,
            show_progress=True,
        )
    except StalError as error:
        print(f"make_scenes: {error}", file=sys.stderr)
        return 1
    print_summary(annotations, time.monotonic() - start)
    return 0


if __name__ == "__main__":
    sys.exit(main())
