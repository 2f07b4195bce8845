"""Compare two detectors on the same videos: differences, their confidence intervals and p."""

from stal.commands import command_line
from stal.evaluation.compare import compare_files
from stal.linking.linker import LINKERS, TRIMMERS
from stal.metrics.bootstrap import NUM_DRAWS, SEED
from stal.metrics.protocol import PROTOCOLS


def main() -> None:
    parser = command_line.new_parser(
        "Print what the detections in B.npz gain on those in A.npz, by a paired bootstrap over videos.",
        "python tools/compare.py baseline.npz ours.npz --protocol act --out comparison.json",
    )
    parser.add_argument("a", metavar="A.npz", help="detections, and tubes if there are any")
    parser.add_argument("b", metavar="B.npz", help="those of another detector on the same videos")
    parser.add_argument(
        "--ground-truth",
        metavar="GT",
        help="the project's .json, an .npz, a file of UCF101-24, or an ACT pickle (default: what A.npz and B.npz hold)",
    )
    parser.add_argument("--split", help="split of GT")
    parser.add_argument("--protocol", default="voc", choices=list(PROTOCOLS), help="rules (default: voc)")
    parser.add_argument(
        "--tubes", nargs=2, metavar=("A", "B"), help="tubes (default: those in A.npz and B.npz, or linked)"
    )
    parser.add_argument("--link", choices=list(LINKERS), help="link the detections, even if there are tubes")
    parser.add_argument(
        "--trim", choices=list(TRIMMERS), help="how linked tubes are trimmed (default: as the linker does)"
    )
    parser.add_argument("--drop-invalid", action="store_true", help="drop and count invalid predictions")
    parser.add_argument("--draws", type=int, default=NUM_DRAWS, help=f"bootstrap draws (default: {NUM_DRAWS})")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of the draws (default: {SEED})")
    parser.add_argument("--out", metavar="COMPARISON.json", help="file for all numbers")
    args = parser.parse_args()
    compare_files(
        args.a,
        args.b,
        ground_truth=args.ground_truth,
        tubes=args.tubes,
        split=args.split,
        protocol=args.protocol,
        link=args.link,
        trim=args.trim,
        drop_invalid=args.drop_invalid,
        num_draws=args.draws,
        seed=args.seed,
        out=args.out,
    )


if __name__ == "__main__":
    command_line.run(main)
