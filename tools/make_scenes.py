"""Generate the data set `scenes`."""

import time

from rich.console import Console
from rich.table import Table

from stal.commands import command_line
from stal.data.processes import num_available_cores
from stal.data.scenes.generate import SPLITS, generate
from stal.structures import Annotations


def print_summary(annotations: Annotations, elapsed_seconds: float) -> None:
    table = Table(title=f"made in {elapsed_seconds:.0f} s")
    for column in ("split", "videos", "tubes", "seconds of video"):
        table.add_column(column, justify="left" if column == "split" else "right")
    for split in sorted({video.split for video in annotations.videos}, key=SPLITS.index):
        videos = annotations.of_split(split).videos
        seconds = sum(video.num_frames / (video.fps or 1) for video in videos)
        table.add_row(split, str(len(videos)), str(sum(len(video.tubes) for video in videos)), f"{seconds:.0f}")
    Console().print(table)


def main() -> None:
    parser = command_line.new_parser(
        "Generate videos of actions whose scene gives the action away, and tests where it does not.",
        "python tools/make_scenes.py data/scenes --videos 400 --correlation 0.9 --seed 0 --jobs 2",
    )
    add = parser.add_argument
    add("out", help="folder to make; it gets annotations.json, videos/ and masks/")
    add("--videos", type=int, default=400, help="training videos; a test split has half (default: %(default)s)")
    add("--correlation", type=float, default=0.9, help="how often the scene is the action's (default: %(default)s)")
    add(
        "--mixed-actions",
        type=float,
        default=0.0,
        metavar="P",
        help="how often a further actor does another action than the scene's (default: %(default)s)",
    )
    add("--keypoints", action="store_true", help="write the actors' joints too, into keypoints/")
    add("--seed", type=int, default=0, help="seed of all chance (default: %(default)s)")
    add("--splits", nargs="+", choices=SPLITS, default=SPLITS, help="splits to make (default: all)")
    add(
        "--size",
        type=command_line.pixel_size,
        default="160x120",
        metavar="WxH",
        help="of the videos, in pixels (default: %(default)s)",
    )
    add("--jobs", type=int, default=num_available_cores(), help="processes (default: one a core, here %(default)s)")
    add("--overwrite", action="store_true", help="replace a data set that is in the folder already")
    args = parser.parse_args()
    start = time.monotonic()
    annotations = generate(
        args.out,
        num_videos=args.videos,
        correlation=args.correlation,
        mixed_actions=args.mixed_actions,
        keypoints=args.keypoints,
        seed=args.seed,
        splits=args.splits,
        width=args.size[1],
        height=args.size[0],
        jobs=args.jobs,
        overwrite=args.overwrite,
        show_progress=True,
    )
    print_summary(annotations, time.monotonic() - start)


if __name__ == "__main__":
    command_line.run(main)
