"""Measure how fast a config trains, detects and reads on this machine."""

from stal.commands import command_line
from stal.profiling.benchmark import NUM_ACTORS, NUM_REPEATS, benchmark


def main() -> None:
    parser = command_line.new_parser(
        "Measure how fast a config trains, detects and reads, in parts and against the bare network.",
        "python tools/benchmark.py configs/scenes_batchmix_pgg.py --out benchmark.json",
    )
    parser.add_argument("config", help="config file, such as configs/scenes_batchmix_pgg.py")
    parser.add_argument("--device", help="cpu, cuda or cuda:1 (default: a GPU if there is one)")
    parser.add_argument("--amp", action="store_true", help="mixed precision (bfloat16; float16 on a CPU)")
    parser.add_argument("--actors", type=int, default=NUM_ACTORS, help=f"of each clip (default: {NUM_ACTORS})")
    parser.add_argument(
        "--repeats", type=int, default=NUM_REPEATS, help=f"timed; the fastest counts (default: {NUM_REPEATS})"
    )
    parser.add_argument("--no-data", action="store_true", help="leave out the loader")
    parser.add_argument("--out", metavar="BENCHMARK.json", help="file for all numbers")
    command_line.add_options_flag(parser)
    args = parser.parse_args()
    benchmark(
        args.config,
        device=args.device,
        amp=args.amp,
        num_actors=args.actors,
        num_repeats=args.repeats,
        with_data=not args.no_data,
        options=args.cfg_options,
        out=args.out,
    )


if __name__ == "__main__":
    command_line.run(main)
