"""Train a detector."""

from stal.commands import command_line
from stal.engine.entry import train


def main() -> None:
    parser = command_line.new_parser(
        "Train a tube detector. A config is Python code: use only those that you trust.",
        "python tools/train.py configs/scenes_batchmix_pgg.py --seed 1 --cfg-options train_cfg.max_epochs=2",
    )
    command_line.add_config_flags(parser)
    parser.add_argument(
        "--resume",
        nargs="?",
        const=True,
        default=False,
        metavar="CHECKPOINT",
        help="continue from a checkpoint (default: the newest of the work directory)",
    )
    parser.add_argument("--amp", action="store_true", help="mixed precision (bfloat16; float16 on a CPU)")
    parser.add_argument(
        "--auto-scale-lr",
        action="store_true",
        help="learning rates in proportion to the batch of all processes (auto_scale_lr.base_batch_size of the config)",
    )
    parser.add_argument("--seed", type=int, help="of weights, order, augmentation and mixing (default: the config's)")
    parser.add_argument("--deterministic", action="store_true", help="deterministic algorithms, even where slower")
    parser.add_argument("--no-validate", action="store_true", help="leave out the validation that the config describes")
    parser.add_argument(
        "--tensorboard", action="store_true", help="write for TensorBoard too: pip install 'stal[tensorboard]'"
    )
    command_line.add_progress_flag(parser)
    command_line.add_launcher_flag(parser)
    args = parser.parse_args()
    work_dir = train(
        args.config,
        work_dir=args.work_dir,
        resume=args.resume,
        amp=args.amp,
        auto_scale_lr=args.auto_scale_lr,
        seed=args.seed,
        deterministic=args.deterministic,
        options=args.cfg_options,
        launcher=args.launcher,
        validate=not args.no_validate,
        tensorboard=args.tensorboard,
        progress=args.progress,
    )
    if command_line.is_first_process():
        print(f"trained: {work_dir}")


if __name__ == "__main__":
    command_line.run(main)
