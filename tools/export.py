"""Export a detector to one file, for programs that know nothing of this project."""

from stal.commands import command_line


def main() -> None:
    parser = command_line.new_parser(
        "Write a trained detector to one file, for torch (pt2) or for ONNX. What is in the file is run on random clips "
        "and compared with the detector before it is written. docs/inference.md says what goes in and what comes out.",
        "python tools/export.py configs/scenes_batchmix_pgg.py work_dirs/scenes_batchmix_pgg --out scenes.onnx",
    )
    add = parser.add_argument
    add("config", help="config file that the checkpoint was trained with")
    add("checkpoint", help="checkpoint, or a work directory, whose last one is taken")
    add("--out", required=True, metavar="FILE", help="file to write")
    add("--format", choices=("pt2", "onnx"), default="onnx", help="torch.export, or ONNX (default)")
    add(
        "--proposals",
        choices=("network", "input"),
        help="who finds people: the detector itself, or who runs the file and hands in boxes on keyframes (default: as "
        "it was trained)",
    )
    command_line.add_options_flag(parser)
    args = parser.parse_args()

    from stal.inference.export import LEFT_OUTSIDE, export_detector

    difference = export_detector(
        args.config,
        args.checkpoint,
        args.out,
        file_format=args.format,
        proposals=args.proposals,
        options=args.cfg_options,
    )
    print(
        f"{args.out}: differs from the detector by at most {difference.boxes:.1e} pixels and {difference.scores:.1e} "
        "in scores on random clips\nnot in the file:"
    )
    for step in LEFT_OUTSIDE:
        print(f"- {step}")


if __name__ == "__main__":
    command_line.run(main)
