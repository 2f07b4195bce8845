"""Train and test a config: what tools/train.py and tools/test.py do.

The heavy modules are imported only once the data are known to be there: what is missing is said at once.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stal.engine.build import build_annotations
from stal.engine.config import load_run_config


def train(
    config_path: str,
    *,
    work_dir: str | None = None,
    resume: bool | str = False,
    amp: bool = False,
    seed: int | None = None,
    deterministic: bool = False,
    options: Mapping[str, Any] | None = None,
    launcher: str = "none",
) -> Path:
    """Train a config and return the work directory that holds its checkpoints.

    Args:
        config_path: the config file.
        work_dir: where everything is written; None for `work_dirs/<config>`.
        resume: continue from the newest checkpoint of the work directory, or from the one at this path.
        amp: mixed precision.
        seed: of weights, order, augmentation and mixing; None for the config's.
        deterministic: choose deterministic algorithms even where they are slower.
        options: settings of the config to change.
        launcher: `none`, `pytorch` (torchrun) or `slurm`.
    """
    config = load_run_config(config_path, work_dir, options)
    if seed is not None:
        config.randomness["seed"] = seed
    if deterministic:
        config.randomness["deterministic"] = True
    if amp:
        config.optim_wrapper["type"] = "stal.engine.amp.AutocastOptimWrapper"
    annotations = build_annotations(config, "train_dataloader")

    from stal.engine.checkpoint import find_checkpoint
    from stal.engine.runner import build_train_runner

    if isinstance(resume, str):
        resume = str(find_checkpoint(resume))
    build_train_runner(config, annotations, resume=resume, launcher=launcher).train()
    return Path(config.work_dir)


def test(
    config_path: str,
    checkpoint: str,
    *,
    work_dir: str | None = None,
    split: str | None = None,
    dump: str | None = None,
    link: str | None = None,
    protocol: str | None = None,
    options: Mapping[str, Any] | None = None,
    launcher: str = "none",
) -> dict[str, float]:
    """Test a checkpoint, write `metrics.json` into the work directory, and return the headline numbers.

    For a split other than the config's own the file is `metrics_<split>.json`.

    Args:
        config_path: the config file that the checkpoint was trained with.
        checkpoint: the checkpoint, or a work directory, whose last one is taken.
        work_dir: where everything is written; None for `work_dirs/<config>`.
        split: the split to test on; None for the config's.
        dump: .npz to write detections, tubes and ground truth to.
        link: name of the linker; None for the config's.
        protocol: name of the protocol that scores; None for the config's.
        options: settings of the config to change.
        launcher: `none`, `pytorch` (torchrun) or `slurm`.
    """
    config = load_run_config(config_path, work_dir, options)
    own_split = config.test_dataloader.dataset.split
    split = split or own_split
    config.test_dataloader.dataset.split = split
    if link is not None:
        config.linking = link
    if protocol is not None:
        config.protocol = protocol
    annotations = build_annotations(config, "test_dataloader")

    from stal.engine.checkpoint import load_weights
    from stal.engine.runner import build_test_runner
    from stal.evaluation.report import print_summary

    out = Path(config.work_dir) / ("metrics.json" if split == own_split else f"metrics_{split}.json")
    origin = {"config": config_path, "checkpoint": str(checkpoint), "split": split}
    runner = build_test_runner(
        config, annotations, out=out, origin=origin, dump=Path(dump) if dump else None, launcher=launcher
    )
    load_weights(getattr(runner.model, "module", runner.model), checkpoint)
    metrics = runner.test()
    if runner.rank == 0:
        print_summary(json.loads(out.read_text()), f"{out}, split {split}")
    return metrics
