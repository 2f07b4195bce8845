"""Draw what a detection looked at."""

from stal.engine import command_line
from stal.engine.gradients import draw_gradient_tubes


def main() -> None:
    parser = command_line.new_parser(
        "Draw the gradient tubes of a video's surest detection: an mp4, a PNG strip, and the energy shares as JSON.",
        "python tools/visualize_gradients.py configs/scenes_batchmix_pgg.py work_dirs/scenes_batchmix_pgg --index 3",
    )
    command_line.add_config_flags(parser)
    parser.add_argument("checkpoint", help="checkpoint, or a work directory, whose last one is taken")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--video", metavar="FILE", help="a video file or a folder of frames")
    source.add_argument("--index", type=int, default=0, help="which video of the data set (default: 0)")
    parser.add_argument("--split", help="split that --index counts in (default: the config's test split)")
    parser.add_argument("--out", metavar="DIR", help="folder for the pictures (default: <work-dir>/gradients)")
    args = parser.parse_args()
    path = draw_gradient_tubes(
        args.config,
        args.checkpoint,
        video=args.video,
        index=args.index,
        split=args.split,
        out=args.out,
        work_dir=args.work_dir,
        options=args.cfg_options,
    )
    print(f"gradient tubes: {path}")


if __name__ == "__main__":
    command_line.run(main)
