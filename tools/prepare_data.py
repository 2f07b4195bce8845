"""Copy the videos of a data set into a form that is faster to read, or build their frame tables."""

import argparse
import dataclasses
import shlex
import sys
from collections.abc import Sequence

from stal.commands import command_line
from stal.commands.annotated_data import read_annotated_data
from stal.data.prepare.frame_folders import FrameFolders
from stal.data.prepare.one_copy import CopyKind
from stal.data.prepare.prepare import Preparation, prepare
from stal.data.prepare.seekable_video import SeekableVideos
from stal.data.prepare.tables import TableReport, build_tables
from stal.data.processes import num_available_cores
from stal.structures import Annotations

FRAMES, MP4, TABLES = FrameFolders.name, SeekableVideos.name, "tables"


def new_parser() -> argparse.ArgumentParser:
    parser = command_line.new_parser(
        "Copy the videos of a data set into folders of frames, or into videos that are quick to seek in and verified\n"
        "against their sources; or build the frame tables alone. Run it again to go on where it ended.",
        "python tools/prepare_data.py configs/ucf24_batchmix_pgg.py --to mp4 data/ucf24_mp4 --jobs 8",
    )
    add = parser.add_argument
    add("data", metavar="CONFIG_OR_JSON", help="config, or annotation file of this project")
    add("out", metavar="OUT", nargs="?", help="folder of the copies, which gets annotations.json too; none for tables")
    add("--to", required=True, choices=(FRAMES, MP4, TABLES), help="what to make")
    add(
        "--quality",
        type=int,
        metavar="N",
        help=f"frames: JPEG's, 1 to 100, higher is better (default: {FrameFolders.quality}); mp4: x264's constant rate "
        f"factor, 0 to 51, lower is better (default: {SeekableVideos.crf})",
    )
    add("--png", action="store_true", help="frames as PNG, which changes no pixel")
    add("--key-frames", type=int, metavar="N", help=f"mp4: every how many (default: {SeekableVideos.group_size})")
    add("--split", nargs="+", help="splits to copy (default: all)")
    add("--skip-bad", action="store_true", help="write annotations.json without the videos that cannot be read")
    add("--jobs", type=int, default=num_available_cores(), help="processes (default: one a core, here %(default)s)")
    add("--cfg-options", nargs="+", action=command_line.OptionsAction, metavar="KEY=VALUE", help="settings to change")
    return parser


def check_flags(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """End the tool with a usage error if flags do not go together."""
    if args.to == TABLES and args.out is not None:
        parser.error("--to tables copies nothing, and takes no OUT")
    if args.to != TABLES and args.out is None:
        parser.error(f"--to {args.to} needs OUT, the folder of the copies")
    allowed = {"quality": (FRAMES, MP4), "png": (FRAMES,), "key_frames": (MP4,), "skip_bad": (FRAMES, MP4)}
    for name, targets in allowed.items():
        if getattr(args, name) not in (None, False) and args.to not in targets:
            parser.error(f"--{name.replace('_', '-')} goes with --to {' or '.join(targets)} alone")
    if args.png and args.quality is not None:
        parser.error("--png changes no pixel, and takes no --quality")


def copy_kind(args: argparse.Namespace) -> CopyKind:
    if args.to == MP4:
        settings = {"crf": args.quality, "group_size": args.key_frames}
        return SeekableVideos(**{name: value for name, value in settings.items() if value is not None})
    if args.png:
        return FrameFolders(quality=None)
    return FrameFolders() if args.quality is None else FrameFolders(args.quality)


def of_splits(annotations: Annotations, splits: Sequence[str]) -> Annotations:
    videos = (video for split in dict.fromkeys(splits) for video in annotations.of_split(split).videos)
    return dataclasses.replace(annotations, videos=tuple(videos))


def print_tables(report: TableReport) -> None:
    for key, rule in report.rules.items():
        if rule != "order":
            print(f"{key}: {rule}")
    counts = ", ".join(
        f"{list(report.rules.values()).count(rule)} by {rule}" for rule in sorted(set(report.rules.values()))
    )
    print(f"{len(report.rules)} videos have their frames found: {counts or 'none'}")


def print_preparation(result: Preparation) -> None:
    rules = ", ".join(f"{count} by {rule}" for rule, count in sorted(result.rules.items()))
    print(
        f"{result.num_made} copies made, {result.num_kept} kept, {result.num_bytes / 2**20:.1f} MiB in all; "
        f"frames found: {rules or 'none'}"
    )
    if result.annotations_file is None:
        is_any_good = result.num_made + result.num_kept > 0
        reason = "; --skip-bad writes it without the bad videos" if is_any_good else ": not one video can be copied"
        print(f"annotations.json is not written{reason}")
        return
    if result.bad:
        print(f"annotations.json is written without the {len(result.bad)} bad videos")
    path = str(result.annotations_file)
    options = f"data._delete_=True data.type=stal.data.formats.tubes_json.read_tubes_json data.path={path}"
    print(f"To train on them, change the data of the config:\n  data = dict(type=read_tubes_json, path={path!r})")
    print(f"or add to the command:\n  --cfg-options {shlex.join(options.split(' ', 2))}")


def main() -> None:
    parser = new_parser()
    args = parser.parse_intermixed_args()
    check_flags(parser, args)
    annotations = read_annotated_data(args.data, args.cfg_options)
    if args.split:
        annotations = of_splits(annotations, args.split)
    if args.to == TABLES:
        report = build_tables(annotations.videos, args.jobs, show_progress=True)
        print_tables(report)
        bad, is_done = report.bad, not report.bad
    else:
        result = prepare(
            annotations,
            args.out,
            copy_kind(args),
            num_processes=args.jobs,
            skip_bad=args.skip_bad,
            show_progress=True,
        )
        print_preparation(result)
        bad, is_done = result.bad, result.annotations_file is not None
    if bad:
        print(f"{len(bad)} bad videos:", *bad.values(), sep="\n  ", file=sys.stderr)
    sys.exit(0 if is_done else 1)


if __name__ == "__main__":
    command_line.run(main)
