"""Detect tubes in any number of videos, on one machine or on many."""

import os
import signal
import sys
from pathlib import Path
from types import FrameType

from stal.commands import command_line

SOME_FAILED = 3  # exit code


def main() -> None:
    parser = command_line.new_parser(
        "Detect tubes in videos and write a JSON file for each. Called again, it goes on where it ended; with --merge "
        f"it makes one file of them. Exit code {SOME_FAILED} says that some videos have no result.",
        "python tools/predict.py configs/scenes_batchmix_pgg.py work_dirs/scenes_batchmix_pgg videos --out predicted",
    )
    add = parser.add_argument
    add("config", help="config file that the checkpoint was trained with")
    add("checkpoint", help="checkpoint, or a work directory, whose last one is taken")
    add("videos", nargs="+", metavar="VIDEO", help="videos, folders of videos, lists of them (.txt, a path a line)")
    add("--out", required=True, metavar="DIR", help="folder of the results, as docs/scale.md says")
    add("--merge", action="store_true", help="predict nothing, and write the results into one file: DIR/tubes.jsonl")
    add("--shard", default="0/1", metavar="I/N", help="only this share of the videos: 0/4, 1/4, 2/4 or 3/4 of four")
    add("--launcher", choices=("none", "pytorch", "slurm", "ray"), default="none", help="how processes start")
    add("--workers", type=int, metavar="NUM", help="processes on Ray (default: one a GPU, else one a core)")
    add("--min-score", type=float, default=0.05, help="of the tubes that are kept (default: %(default)s)")
    add("--draw", action="store_true", help="draw the tubes too, as tools/demo.py does")
    add("--gradients", action="store_true", help="draw where the scores of the tubes come from")
    add(
        "--proposals",
        default="network",
        metavar="network|torchvision|NPZ",
        help="who finds people: the detector itself (default), torchvision's person detector, or a detections file",
    )
    add("--step", type=int, help="frames from one window to the next (default: the config's)")
    add("--batch-size", type=int, help="windows that go through the network at once (default: the config's)")
    add("--max-minutes", type=float, metavar="MINUTES", help="that a video may take (default: any time)")
    add("--device", help="such as cuda:1 or cpu (default: a GPU if there is one)")
    command_line.add_options_flag(parser)
    args = parser.parse_args()

    from stal.inference.predict.results import DRAWN, MERGED_FILE
    from stal.inference.predict.shards import parse_shard
    from stal.inference.predict.videos import list_videos

    shard = parse_shard(args.shard)
    out = Path(args.out).absolute()
    videos = list_videos(args.videos, drawn=out / DRAWN)  # what is wrong with them is said at once

    from stal.inference.predict.settings import PredictSettings

    settings = PredictSettings(
        config=os.path.abspath(args.config),
        checkpoint=os.path.abspath(args.checkpoint),
        out=out,
        proposals=os.path.abspath(args.proposals) if args.proposals.endswith(".npz") else args.proposals,
        step=args.step,
        batch_size=args.batch_size,
        device=args.device,
        options=args.cfg_options or {},
        min_score=args.min_score,
        draw=args.draw,
        gradients=args.gradients,
        max_minutes=args.max_minutes,
    )

    from stal.inference.predict.launch import merge, predict

    if args.merge:
        merged = merge(settings, videos)
        print(f"{merged.num_done} videos: {settings.out / MERGED_FILE}")
        num_failed = merged.num_failed
    else:
        end_by_signals()
        num_failed = predict(settings, videos, shard=shard, launcher=args.launcher, num_workers=args.workers)
    if num_failed:
        print(f"{num_failed} videos have no result; {settings.out / 'failures'} says why", file=sys.stderr)
        sys.exit(SOME_FAILED)


def end_by_signals() -> None:
    """End in an orderly way where a scheduler asks for it: the video that was begun is done anew by the next run."""

    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, end)


if __name__ == "__main__":
    command_line.run(main)
