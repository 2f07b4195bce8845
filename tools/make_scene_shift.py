"""Make a test set whose scene lies of the videos of any annotated data set."""

import sys
from typing import get_args

from stal.commands import command_line
from stal.data.processes import num_available_cores
from stal.data.scene_shift.kinds import Kind, MaskKind


def main() -> None:
    parser = command_line.new_parser(
        "Write the videos of a data set with their actors on other scenes, or without actors or scene, and their\n"
        "unchanged tubes. docs/scene_shift.md describes the kinds. Exits with 1 if videos had to be skipped.",
        "python tools/make_scene_shift.py configs/ucf24_batchmix_pgg.py --kind swap --out data/ucf24_swap --jobs 8",
    )
    add = parser.add_argument
    add("data", metavar="CONFIG_OR_JSON", help="config, or annotation file of this project")
    add("--kind", required=True, choices=get_args(Kind), help="what to make of every video")
    add("--mask", choices=get_args(MaskKind), default="box", help="what actors are cut by (default: %(default)s)")
    add("--seed", type=int, default=0, help="of donors and stripes (default: %(default)s)")
    add("--out", required=True, metavar="DIR", help="folder to make: annotations.json, manifest.json and videos/")
    add("--split", help="videos to shift (default: those that a config tests on, all of an annotation file)")
    add("--jobs", type=int, default=num_available_cores(), help="processes (default: one a core, here %(default)s)")
    add("--overwrite", action="store_true", help="replace a shifted set that is in the folder already")
    command_line.add_options_flag(parser)
    args = parser.parse_args()

    # Processes that make videos import this file again, and should not load all of stal for it.
    from stal.commands.scene_shift import make_scene_shift_of

    made = make_scene_shift_of(
        args.data,
        args.out,
        args.kind,
        mask=args.mask,
        seed=args.seed,
        split=args.split,
        options=args.cfg_options,
        num_processes=args.jobs,
        overwrite=args.overwrite,
        show_progress=True,
    )
    print(f"{len(made.annotations.videos)} videos: {made.annotations_file}")
    if made.skipped:
        print(f"{len(made.skipped)} videos are skipped:", *made.skipped.values(), sep="\n  ", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    command_line.run(main)
