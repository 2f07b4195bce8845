"""Convert weights of other projects to a file that trainings begin with (backbone_weights)."""

import logging

from rich.console import Console
from rich.table import Table

from stal.commands import command_line
from stal.commands.convert_weights import convert_file
from stal.models.weights.convert import ConvertedWeights

NAMED = 4  # how many names are shown of what is left out


def print_summary(converted: ConvertedWeights, out: str) -> None:
    table = Table(title=out, show_header=False)
    left_out = converted.left_out
    rows = {
        "from": f"{converted.project}, {'a detector' if converted.is_detection else 'a classifier'}",
        "backbone": f"{converted.kind.__name__}, {len(converted.backbone)} weights, all that it has",
        **{name: str(value) for name, value in converted.network.items()},
        "mean": str([round(value, 3) for value in converted.mean]),
        "std": str([round(value, 3) for value in converted.std]),
        "head": f"{len(converted.head['bias'])} classes" if converted.head else "none",
        "left out": f"{len(left_out)} ({', '.join(left_out[:NAMED])}{', ...' if len(left_out) > NAMED else ''})"
        if left_out
        else "nothing",
    }
    for name, text in rows.items():
        table.add_row(name, text)
    Console().print(table)
    print(f'set backbone_weights = "{out}" in a config whose backbone and data_preprocessor are as above')


def main() -> None:
    parser = command_line.new_parser(
        "Convert weights of pytorchvideo (.pyth), PySlowFast (.pyth, caffe2 .pkl), mmaction2 (.pth) or torchvision\n"
        "(.pth: mvit_v2_s, swin3d_t) to a file that trainings of this project begin with, by backbone_weights in a\n"
        "config; docs/weights.md says where they are published and what differs.",
        "python tools/convert_weights.py SLOWFAST_8x8_R50.pyth --out weights/slowfast_r50_8x8.pth",
    )
    parser.add_argument("file", metavar="IN", help="file of weights")
    parser.add_argument("--out", required=True, help="file to write, such as weights/slowfast_r50_8x8.pth")
    parser.add_argument(
        "--alpha",
        type=int,
        help="how many times fewer frames the slow pathway sees (default: what the file says or, if it does not, what "
        "the published network of this form has)",
    )
    parser.add_argument("--overwrite", action="store_true", help="write OUT even if it is there already")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    print_summary(convert_file(args.file, args.out, alpha=args.alpha, overwrite=args.overwrite), args.out)


if __name__ == "__main__":
    command_line.run(main)
