"""Run an experiment: a grid of mixers, penalties and seeds, and the page of its results."""

import signal
import sys
from pathlib import Path

from stal.commands import command_line
from stal.experiments.spec import read_experiment


def main() -> None:
    parser = command_line.new_parser(
        "Train and test every cell of an experiment that has no valid result yet, and write its page of tables and "
        "plots. It may be interrupted, also by SIGTERM, and goes on where it was when it is called again.",
        "python tools/experiment.py experiments/scenes.yaml --only 'BatchMix/*' '*/none/0' --jobs 2",
    )
    add = parser.add_argument
    add("experiment", help="YAML file, such as experiments/scenes.yaml, which explains its keys")
    add("--only", nargs="+", default=(), metavar="PATTERN", help="run these cells: MIXER/PENALTY/SEED, with * and ?")
    add("--jobs", type=int, default=1, help="cells at once, each on one thread (default: %(default)s)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--dry-run", action="store_true", help="print the cells, which would run, and how long")
    what.add_argument("--page-only", action="store_true", help="write the page from the results that there are")
    add("--keep", action="store_true", help="keep the checkpoints")
    add("--work-dir", metavar="DIR", help="folder of the results (default: work_dirs/experiments/<name>)")
    add("--data-dir", metavar="DIR", default="data/experiments", help="folder of made data (default: %(default)s)")
    add("--page", metavar="PAGE.md", help="the page; its plots go beside it (default: docs/results/<name>.md)")
    args = parser.parse_args()
    experiment = read_experiment(args.experiment)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C, which a background process does not hear

    # Late: a mistake in the file is said at once, and the process of a cell, which imports this file, needs none of it.
    from stal.experiments.run import Places, make_page, print_plan, run_experiment

    places = Places(
        work_dir=Path(args.work_dir or Path("work_dirs") / "experiments" / experiment.name),
        data_dir=Path(args.data_dir),
        page=Path(args.page or Path("docs") / "results" / f"{experiment.name}.md"),
    )
    if args.dry_run:
        print_plan(experiment, places, only=args.only, num_processes=args.jobs)
    elif args.page_only:
        make_page(experiment, places)
    elif not run_experiment(experiment, places, only=args.only, num_processes=args.jobs, keep=args.keep):
        sys.exit(1)


if __name__ == "__main__":
    command_line.run(main)
