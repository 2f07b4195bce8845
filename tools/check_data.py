"""Find what is wrong with a data set before a training shows it."""

import sys

from stal.commands import command_line
from stal.data.processes import num_available_cores


def main() -> None:
    parser = command_line.new_parser(
        "Check annotations and videos, write a page to look at, and exit with 1 if training would be worthless.\n"
        "docs/checking.md lists all that is looked for. A config is Python code: use only those that you trust.",
        "python tools/check_data.py configs/ucf24_batchmix_pgg.py --cfg-options data.root=/data/ucf24",
    )
    parser.add_argument("data", metavar="CONFIG_OR_JSON", help="config, or annotation file of this project")
    parser.add_argument("--out", metavar="DIR", help="for the page and the report (default: work_dirs/check_data/NAME)")
    parser.add_argument(
        "--jobs",
        type=int,
        default=num_available_cores(),
        help="processes that open videos (default: one a core, here %(default)s)",
    )
    parser.add_argument("--no-decode", action="store_true", help="do not open the videos")
    parser.add_argument("--max-videos", type=int, metavar="N", help="open N of the videos only, for a quick look")
    parser.add_argument("--fix", metavar="OUT.json", help="write an annotation file with what can be corrected safely")
    command_line.add_options_flag(parser)
    args = parser.parse_args()

    # Processes that open videos import this file again, and should not load all of stal for it.
    from stal.commands.check_data import check_data_file

    is_good = check_data_file(
        args.data,
        options=args.cfg_options,
        out=args.out,
        decode=not args.no_decode,
        max_videos=args.max_videos,
        num_processes=args.jobs,
        fix=args.fix,
    )
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    command_line.run(main)
