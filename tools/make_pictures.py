"""Make the pictures of the documents anew."""

from pathlib import Path

from stal.commands import command_line
from stal.commands.doc_pictures import draw_evaluation_pictures, draw_gradient_pictures
from stal.commands.scene_shift_picture import draw_scene_shift_picture
from stal.engine.faults.checkpoint import find_checkpoint
from stal.report.picture import draw_report_picture


def main() -> None:
    parser = command_line.new_parser(
        "Make pictures of docs/ and the README anew: of the detector that `make demo` trains, and of scene-shifted "
        "sets.",
        "python tools/make_pictures.py configs/scenes_batchmix_pgg.py work_dirs/scenes_batchmix_pgg",
    )
    command_line.add_config_flags(parser)
    parser.add_argument("checkpoint", help="checkpoint, or a work directory, whose last one is taken")
    parser.add_argument("--index", type=int, default=0, help="video of the test split for gradient tubes (default: 0)")
    parser.add_argument(
        "--detections",
        metavar="FILE",
        help="what tools/test.py --dump wrote (default: detections.npz beside the checkpoint)",
    )
    parser.add_argument(
        "--report",
        metavar="FILE",
        default="report/index.html",
        help="what tools/report.py wrote of two detectors (default: %(default)s); a browser draws it",
    )
    parser.add_argument("--docs", default="docs", metavar="DIR", help="folder of the pictures (default: docs)")
    parser.add_argument(
        "--only", nargs="+", choices=("gradients", "evaluation", "scene_shift", "report"), help="which (default: all)"
    )
    args = parser.parse_args()
    docs = Path(args.docs)
    detections = Path(args.detections or find_checkpoint(args.checkpoint).parent / "detections.npz")
    makers = {
        "evaluation": lambda: draw_evaluation_pictures(detections, docs),
        "gradients": lambda: draw_gradient_pictures(
            args.config, args.checkpoint, docs, index=args.index, work_dir=args.work_dir, options=args.cfg_options
        ),
        "report": lambda: [draw_report_picture(Path(args.report), docs / "report.png")],
        "scene_shift": lambda: [draw_scene_shift_picture(docs)],
    }
    for name, make in makers.items():
        if args.only is None or name in args.only:
            for path in make():
                print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    command_line.run(main)
