"""Show on one page what a training came to, or two beside each other."""

from typing import get_args

from stal.attribution.methods import Method
from stal.attribution.roi_score import Pathway
from stal.commands import command_line
from stal.report.make import make_report


def main() -> None:
    parser = command_line.new_parser(
        "Make a page of one training, or of two beside each other: numbers, curves, plots, scene shift, and the best,\n"
        "the worst and the most scene-reliant detections as clips with their gradient tubes. It is one file, opens\n"
        "from disk and loads nothing. A detector that was not tested yet is tested first.",
        "python tools/report.py work_dirs/scenes_plain work_dirs/scenes_batchmix_pgg --out report",
    )
    parser.add_argument("work_dirs", nargs="+", metavar="WORK_DIR", help="work directory of a training, or two")
    parser.add_argument("--out", default="report", metavar="DIR", help="folder of the page (default: report)")
    parser.add_argument(
        "--config",
        nargs="+",
        metavar="CONFIG",
        help="config of each work directory (default: the copy that training left there)",
    )
    parser.add_argument("--names", nargs="+", metavar="NAME", help="what to call them (default: the folders' names)")
    parser.add_argument("--num-clips", type=int, default=4, metavar="N", help="clips of each kind (default: 4)")
    parser.add_argument("--method", choices=get_args(Method), default="input_gradient", help="of the gradient tubes")
    parser.add_argument("--pathway", choices=get_args(Pathway), default="both", help="the way into the network")
    parser.add_argument(
        "--no-test",
        action="store_true",
        help="do not test where detections are missing; the page then says what makes them",
    )
    command_line.add_options_flag(parser)
    args = parser.parse_args()
    report = make_report(
        args.work_dirs,
        args.out,
        configs=args.config,
        names=args.names,
        num_clips=args.num_clips,
        run_tests=not args.no_test,
        method=args.method,
        pathway=args.pathway,
        options=args.cfg_options,
    )
    for part in report.absent:
        print(f"not on the page: {part.section} of {part.detector}: {part.what}")
        if part.command:
            print(f"  {part.command}")
    print(f"report: {report.path} ({report.num_bytes / 1e6:.1f} MB)")


if __name__ == "__main__":
    command_line.run(main)
