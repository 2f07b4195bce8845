"""Draw what a detector sees in any video."""

from pathlib import Path

from stal.commands import command_line


def main() -> None:
    parser = command_line.new_parser(
        "Draw tubes with their class and score on a video of any length, or on what a camera shows. The config says "
        "what the checkpoint is of; its data set is not needed.",
        "python tools/demo.py party.mp4 --config configs/scenes_batchmix_pgg.py --checkpoint "
        "work_dirs/scenes_batchmix_pgg --gradients",
    )
    parser.add_argument("video", nargs="?", help="a video file, or a folder of numbered frames")
    parser.add_argument("--camera", metavar="NUMBER", help="draw what this camera shows, until Ctrl-C; 0 is the first")
    parser.add_argument("--config", required=True, help="config file that the checkpoint was trained with")
    parser.add_argument("--checkpoint", required=True, help="checkpoint, or a work directory, whose last one is taken")
    parser.add_argument("--out", metavar="MP4", help="what is drawn (default: <video>_tubes.mp4)")
    parser.add_argument("--json", metavar="FILE", help="write the tubes too, laid out as docs/demo.md says")
    parser.add_argument("--gradients", action="store_true", help="draw where the scores of the tubes come from")
    parser.add_argument("--min-score", type=float, default=0.3, help="of the tubes that are shown (default: 0.3)")
    parser.add_argument(
        "--proposals",
        default="network",
        metavar="network|torchvision|NPZ",
        help="who finds people: the detector itself (default), torchvision's person detector, or a detections file",
    )
    parser.add_argument("--step", type=int, help="frames from one window to the next (default: the config's)")
    parser.add_argument("--device", help="such as cuda:1 or cpu (default: a GPU if there is one)")
    command_line.add_options_flag(parser)
    args = parser.parse_args()
    if (args.video is None) == (args.camera is None):
        parser.error("name a video, or a camera with --camera NUMBER")

    from stal.data.video.stream import open_stream

    stream = open_stream(args.video) if args.video else None  # what is wrong with it is said at once

    from stal.inference.demo import DemoOutput, draw_video
    from stal.inference.demo_camera import draw_camera
    from stal.inference.stream_detector import load_detector

    output = DemoOutput(
        video=Path(args.out or f"{stream.path.stem if stream else 'camera'}_tubes.mp4"),
        tubes=Path(args.json) if args.json else None,
        gradients=args.gradients,
        min_score=args.min_score,
    )
    detector = load_detector(
        args.config,
        args.checkpoint,
        proposals=args.proposals,
        step=args.step,
        batch_size=1 if args.camera else None,
        device=args.device,
        options=args.cfg_options,
    )
    if stream is None:
        print(f"drawing until Ctrl-C: {output.video}", flush=True)
        print(f"{draw_camera(args.camera, detector, output)} frames: {output.video}")
    else:
        print(f"{len(draw_video(stream, detector, output))} tubes: {output.video}")


if __name__ == "__main__":
    command_line.run(main)
