"""What the tools share: their common flags, and errors that people can read."""

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

from mmengine.config import DictAction

from stal.errors import StalError


def new_parser(description: str, example: str) -> argparse.ArgumentParser:
    """Return a parser whose help ends with an example."""
    return argparse.ArgumentParser(
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


class OptionsAction(DictAction):
    """Collect KEY=VALUE settings; what is none ends the tool with a usage error."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Add `values` to the settings that are in the namespace already."""
        for setting in values or ():
            if "=" not in setting:
                raise argparse.ArgumentError(self, f"{setting!r} is not a setting: write KEY=VALUE")
            try:
                super().__call__(parser, namespace, [setting], option_string)
            except AssertionError as error:  # mmengine's way to refuse them
                raise argparse.ArgumentError(self, f"{setting!r}: its brackets do not pair") from error


def add_config_flags(parser: argparse.ArgumentParser) -> None:
    """Add the config, and the flags that change it, as mmaction2's tools have them."""
    parser.add_argument("config", help="config file, such as configs/scenes_batchmix_pgg.py")
    parser.add_argument("--work-dir", help="where logs, checkpoints and metrics go (default: work_dirs/<config>)")
    add_options_flag(parser)


def add_options_flag(parser: argparse.ArgumentParser) -> None:
    """Add the settings that change a config."""
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=OptionsAction,
        metavar="KEY=VALUE",
        help="settings of the config to change: model.penalty.weight=0.1 data.path=scenes/annotations.json",
    )


def add_launcher_flag(parser: argparse.ArgumentParser) -> None:
    """Add the choice of how several processes are started."""
    parser.add_argument("--launcher", choices=("none", "pytorch", "slurm"), default="none", help="how processes start")
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)


def add_progress_flag(parser: argparse.ArgumentParser) -> None:
    """Add the choice of how a tool shows how far it is."""
    parser.add_argument(
        "--progress",
        choices=("auto", "rich", "plain"),
        help="show how far it is in bars (rich) or lines (plain); auto: bars on a terminal (default: the config's)",
    )


def pixel_size(text: str) -> tuple[int, int]:
    """Parse a size in pixels such as `160x120`, width first as people write it, to (height, width)."""
    width, x, height = text.partition("x")
    if not (width.isdecimal() and x and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form WIDTHxHEIGHT, such as 160x120")
    return int(height), int(width)


def is_first_process() -> bool:
    """Return whether this process speaks for all that a launcher has started, also once they have left their group."""
    return os.environ.get("RANK", "0") == "0"


def run(main: Callable[[], None]) -> None:
    """Run a tool: an error of stal's own ends it with one readable message and exit code 1."""
    try:
        main()
    except StalError as error:
        # One that comes from a loader's worker carries the worker's traceback, with the message at its end.
        message = re.split(r"^stal\.errors\.\w+: ", str(error), flags=re.MULTILINE)[-1].strip()
        print(f"error: {message}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
