"""Evaluate anybody's detections: frame-mAP, video-mAP, their errors and plots, by a named protocol."""

from stal.commands import command_line
from stal.evaluation.evaluate import ALL_PROTOCOLS, evaluate_files
from stal.evaluation.inputs import NO_LINKER
from stal.linking.linker import LINKERS, TRIMMERS
from stal.metrics.bootstrap import NUM_DRAWS, SEED
from stal.metrics.headlines import FRAME_THRESHOLDS, VIDEO_THRESHOLDS
from stal.metrics.protocol import PROTOCOLS


def main() -> None:
    parser = command_line.new_parser(
        "Evaluate detections and tubes, whoever made them; docs/detection_files.md describes the files.",
        "python tools/evaluate.py --detections detections.npz --protocol all --out metrics.json --plots plots",
    )
    parser.add_argument(
        "--detections", required=True, nargs="+", metavar="DETS.npz", help="detections; several: one for each split"
    )
    parser.add_argument(
        "--ground-truth",
        metavar="GT",
        help="the project's .json, an .npz, a file of UCF101-24, or an ACT pickle (default: what DETS.npz holds)",
    )
    parser.add_argument("--tubes", nargs="+", metavar="TUBES.npz", help="tubes (default: those in DETS.npz, or linked)")
    parser.add_argument("--split", nargs="+", help="split of GT, one for each DETS.npz")
    parser.add_argument(
        "--protocol", default="voc", choices=[*PROTOCOLS, ALL_PROTOCOLS], help="rules of the numbers (default: voc)"
    )
    parser.add_argument("--link", choices=[*LINKERS, NO_LINKER], help="link the detections, even if there are tubes")
    parser.add_argument(
        "--trim", choices=list(TRIMMERS), help="how linked tubes are trimmed (default: as the linker does)"
    )
    parser.add_argument(
        "--frame-iou", type=float, nargs="+", default=FRAME_THRESHOLDS, help="thresholds of frame-mAP (default: 0.5)"
    )
    parser.add_argument(
        "--video-iou",
        type=float,
        nargs="+",
        default=VIDEO_THRESHOLDS,
        help="thresholds of video-mAP, beside 0.5:0.95 (default: 0.2 0.5 0.75)",
    )
    parser.add_argument("--drop-invalid", action="store_true", help="drop and count invalid predictions")
    parser.add_argument(
        "--draws", type=int, default=NUM_DRAWS, help=f"bootstrap draws for intervals (default: {NUM_DRAWS})"
    )
    parser.add_argument("--seed", type=int, default=SEED, help=f"of the draws (default: {SEED})")
    parser.add_argument("--out", metavar="METRICS.json", help="file for all numbers")
    parser.add_argument("--plots", metavar="DIR", help="folder for plots")
    args = parser.parse_args()
    evaluate_files(
        args.detections,
        ground_truth=args.ground_truth,
        tubes=args.tubes,
        split=args.split,
        protocol=args.protocol,
        link=args.link,
        trim=args.trim,
        drop_invalid=args.drop_invalid,
        frame_thresholds=args.frame_iou,
        video_thresholds=args.video_iou,
        num_draws=args.draws,
        seed=args.seed,
        out=args.out,
        plots=args.plots,
    )


if __name__ == "__main__":
    command_line.run(main)
