"""Draw what a detection looked at, or score how well that can be told."""

import argparse
from typing import get_args

from stal.attribution.methods import Method
from stal.attribution.roi_score import Pathway
from stal.commands import command_line
from stal.seeing.gradient_scores import measure_gradient_scores
from stal.seeing.gradients import draw_gradient_tubes
from stal.seeing.tube_source import TubeChoice, VideoChoice
from stal.visualize.tube_files import Kind


def main() -> None:
    parser = _new_parser()
    args = parser.parse_args()
    if args.scores:
        measure_gradient_scores(
            args.config,
            args.checkpoint,
            split=args.split,
            methods=args.method,
            min_actors=args.num_actors,
            tolerance_pixels=args.tolerance_pixels,
            work_dir=args.work_dir,
            options=args.cfg_options,
        )
        return
    if len(args.method) > 1:
        parser.error("--method: pictures are of one method; several are for --scores")
    files = draw_gradient_tubes(
        args.config,
        args.checkpoint,
        video=VideoChoice(args.video, args.index, args.split),
        tube=TubeChoice(args.action, args.rank, args.detections, args.ground_truth),
        method=args.method[0],
        pathway=args.pathway,
        kinds=args.kinds,
        signed=args.signed,
        out=args.out,
        work_dir=args.work_dir,
        options=args.cfg_options,
    )
    for kind, path in files.items():
        print(f"{kind:>4}: {path}")


def _new_parser() -> argparse.ArgumentParser:
    tool = "python tools/visualize_gradients.py configs/scenes_batchmix_pgg.py work_dirs/scenes_batchmix_pgg"
    parser = command_line.new_parser(
        "Draw where the class score of a tube comes from, through a whole video: of the surest detection, of another "
        "one, or of an annotated tube. Beside the pictures, a JSON file has the energy shares of every window. "
        "Or, with --scores, print how well attributions do on a set of videos.",
        f"{tool} --index 3\n"
        f"  {tool} --ground-truth --method smoothgrad --kinds mp4 tube html\n"
        f"  {tool} --scores --method input_gradient grad_cam_slow",
    )
    command_line.add_config_flags(parser)
    parser.add_argument("checkpoint", help="checkpoint, or a work directory, whose last one is taken")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--video", metavar="FILE", help="a video file or a folder of frames")
    source.add_argument("--index", type=int, default=0, help="which video of the data set (default: 0)")
    parser.add_argument(
        "--split", help="split, folder or annotation file that --index counts in (default: the config's test split)"
    )
    tube = parser.add_argument_group("which tube of the video")
    tube.add_argument("--class", dest="action", metavar="NAME", help="of this class (default: of any)")
    which = tube.add_mutually_exclusive_group()
    which.add_argument("--rank", type=int, default=0, help="of the detected ones; 0 is the surest (default: 0)")
    which.add_argument(
        "--ground-truth",
        type=int,
        nargs="?",
        const=0,
        metavar="N",
        help="of the annotated ones, number N (0 if left out)",
    )
    tube.add_argument("--detections", metavar="FILE", help="an .npz of detections to take it from; default: detect")
    look = parser.add_argument_group("what is looked at")
    look.add_argument(
        "--method",
        nargs="+",
        choices=get_args(Method),
        default=["input_gradient"],
        metavar="NAME",
        help=f"of attribution, several for --scores: {', '.join(get_args(Method))} (default: input_gradient)",
    )
    look.add_argument(
        "--pathway", choices=get_args(Pathway), default="both", help="the way into the network, in pictures"
    )
    pictures = parser.add_argument_group("pictures")
    pictures.add_argument(
        "--kinds",
        nargs="+",
        choices=get_args(Kind),
        default=["mp4", "png"],
        metavar="KIND",
        help="mp4, gif, png (a strip), tube (a picture in space and time), html (the same to be turned), npz (the "
        "numbers) (default: mp4 png)",
    )
    pictures.add_argument("--signed", action="store_true", help="show values with their sign, not magnitudes")
    pictures.add_argument("--out", metavar="DIR", help="folder for the files (default: <work-dir>/gradients)")
    scores = parser.add_argument_group("scores")
    scores.add_argument("--scores", action="store_true", help="no pictures: a table of scores, written as JSON too")
    scores.add_argument("--num-actors", type=int, default=64, help="how many actors are enough (default: 64)")
    scores.add_argument("--tolerance-pixels", type=int, default=0, help="of the pointing game (default: 0)")
    return parser


if __name__ == "__main__":
    command_line.run(main)
