"""Test a detector: frame-mAP and video-mAP."""

from stal.engine import command_line
from stal.engine.entry import test


def main() -> None:
    parser = command_line.new_parser(
        "Test a tube detector; print its metrics and write them to metrics.json in the work directory.",
        "python tools/test.py configs/scenes_batchmix_pgg.py work_dirs/scenes_batchmix_pgg --split shifted",
    )
    command_line.add_config_flags(parser)
    parser.add_argument("checkpoint", help="checkpoint, or a work directory, whose last one is taken")
    parser.add_argument("--dump", metavar="DETECTIONS.npz", help="file for detections, tubes and ground truth")
    parser.add_argument("--link", metavar="NAME", help="linker that makes tubes of detections (default: the config's)")
    parser.add_argument("--protocol", metavar="NAME", help="protocol that scores them (default: the config's)")
    parser.add_argument("--split", help="split to test on (default: the config's)")
    command_line.add_launcher_flag(parser)
    args = parser.parse_args()
    test(
        args.config,
        args.checkpoint,
        work_dir=args.work_dir,
        split=args.split,
        dump=args.dump,
        link=args.link,
        protocol=args.protocol,
        options=args.cfg_options,
        launcher=args.launcher,
    )


if __name__ == "__main__":
    command_line.run(main)
