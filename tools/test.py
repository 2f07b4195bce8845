"""Test a detector: frame-mAP, video-mAP and whether actions are told apart, on one set or on several."""

from stal.commands import command_line
from stal.engine.entry import measure_scene_shift, test


def main() -> None:
    parser = command_line.new_parser(
        "Test a tube detector; print its metrics and write them to metrics.json in the work directory.\n"
        "Of several sets each has its metrics_<set>.json, and scene_shift.json says how much worse than the first the\n"
        "others are.",
        "python tools/test.py configs/scenes_batchmix_pgg.py work_dirs/scenes_batchmix_pgg "
        "--split iid shifted anti scene_only",
    )
    command_line.add_config_flags(parser)
    parser.add_argument("checkpoint", help="checkpoint, or a work directory, whose last one is taken")
    parser.add_argument(
        "--dump",
        metavar="DETECTIONS.npz",
        help="file for detections, tubes and ground truth; of several sets DETECTIONS_<set>.npz",
    )
    parser.add_argument("--link", metavar="NAME", help="linker that makes tubes of detections (default: the config's)")
    parser.add_argument("--protocol", metavar="NAME", help="protocol that scores them (default: the config's)")
    parser.add_argument(
        "--split",
        nargs="+",
        metavar="SET",
        help="what to test on: splits of the config's data, folders that tools/make_scene_shift.py made, or annotation "
        "files (default: the config's split)",
    )
    parser.add_argument(
        "--headlines-only",
        action="store_true",
        help="leave out confidence intervals and what is behind the numbers, to save a second for each set",
    )
    parser.add_argument(
        "--box-thresholds",
        metavar="SET",
        help="set whose best thresholds MaxBoxAccV2-3D takes, of a model with maps; it is tested first (default: the "
        "best of each set itself)",
    )
    command_line.add_progress_flag(parser)
    command_line.add_launcher_flag(parser)
    args = parser.parse_args()
    settings = {
        "work_dir": args.work_dir,
        "dump": args.dump,
        "link": args.link,
        "protocol": args.protocol,
        "options": args.cfg_options,
        "headlines_only": args.headlines_only,
        "box_thresholds": args.box_thresholds,
        "launcher": args.launcher,
        "progress": args.progress,
    }
    if args.split is not None and len(args.split) > 1:
        measure_scene_shift(args.config, args.checkpoint, args.split, **settings)
    else:
        test(args.config, args.checkpoint, split=args.split and args.split[0], **settings)


if __name__ == "__main__":
    command_line.run(main)
