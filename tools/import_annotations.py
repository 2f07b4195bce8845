"""Convert annotations: from any known format to the project's JSON, or to a format that others read."""

import logging

from rich.console import Console
from rich.table import Table

from stal.commands import command_line
from stal.data.formats.convert import convert_annotations, count_splits
from stal.data.formats.known_formats import FORMATS
from stal.structures import Annotations


def print_summary(annotations: Annotations, out: str) -> None:
    table = Table(title=f"{out}: {len(annotations.classes)} classes")
    for column in ("split", "videos", "tubes", "boxes"):
        table.add_column(column, justify="left" if column == "split" else "right")
    for row in count_splits(annotations):
        table.add_row(row.split, f"{row.num_videos:,}", f"{row.num_tubes:,}", f"{row.num_boxes:,}")
    Console().print(table)


def main() -> None:
    parser = command_line.new_parser(
        "Convert annotations; docs/annotations.md describes the formats:\n\n"
        + "\n".join(f"  {name:12}  {known.what}" for name, known in FORMATS.items()),
        "python tools/import_annotations.py --format ava train=ava_train.csv --videos data/clips --out tubes.json",
    )
    add = parser.add_argument
    add("inputs", nargs="+", metavar="IN", help="file or folder; several are merged; NAME=PATH gives the split a name")
    add("--format", required=True, choices=list(FORMATS), help="format of IN")
    add("--to", default="stal", choices=[name for name, known in FORMATS.items() if known.write], help="format of OUT")
    add("--out", required=True, help="file to write; a folder for several videos to cvat")
    add("--overwrite", action="store_true", help="write OUT even if it is there already")
    options = parser.add_argument_group("options of formats", "one that the chosen formats do not take is an error")
    add = options.add_argument
    add("--videos", metavar="DIR", help="folder of the videos, which tell their length, size and rate")
    add("--size", type=command_line.pixel_size, metavar="WxH", help="of all videos in pixels, where IN does not say it")
    add("--fps", type=float, help="frames a second of all videos, or for each unit of AVA's timestamps")
    add("--classes", nargs="+", metavar="NAME", help="names in the order of the labels, or a file of them, one a line")
    add("--split", help="the split to keep, or its name for a format without splits")
    add("--fold", type=int, help="number of the division into train and test, from 1")
    add("--test-list", metavar="FILE", help="names the test videos of UCF101-24")
    add("--label-map", metavar="FILE", help="names AVA's action ids")
    add("--excluded", metavar="FILE", help="AVA's excluded timestamps")
    add("--start-seconds", type=float, help="AVA's timestamp of frame 0 (default: 900)")
    add("--first-frame", type=int, choices=(0, 1), help="number of the first frame, for yolo and coco-video")
    add("--attribute", help="attribute of VIA or CVAT that is the class")
    add("--identity", help="attribute of VIA that tells actors apart")
    args = vars(parser.parse_args())
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    positional = {name: args.pop(name) for name in ("inputs", "format", "to", "out", "overwrite")}
    annotations = convert_annotations(
        positional["inputs"],
        positional["format"],
        positional["out"],
        to=positional["to"],
        options=args,
        overwrite=positional["overwrite"],
    )
    print_summary(annotations, positional["out"])


if __name__ == "__main__":
    command_line.run(main)
