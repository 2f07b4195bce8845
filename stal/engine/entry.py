"""Train and test a config: what tools/train.py and tools/test.py do.

The heavy modules are imported only once the data are known to be there: what is missing is said at once.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmengine.config import Config

from stal.engine.build import build_all_annotations
from stal.engine.config import config_digest, load_run_config
from stal.engine.tested_sets import SetOutputs, TestedSet, read_tested_sets
from stal.engine.validation import build_validation

if TYPE_CHECKING:
    from stal.metrics.summary import Evaluation

SCENE_SHIFT_FILE = "scene_shift.json"


def train(
    config_path: str,
    *,
    work_dir: str | None = None,
    resume: bool | str = False,
    amp: bool = False,
    auto_scale_lr: bool = False,
    seed: int | None = None,
    deterministic: bool = False,
    options: Mapping[str, Any] | None = None,
    launcher: str = "none",
    validate: bool = True,
    tensorboard: bool = False,
    progress: str | None = None,
) -> Path:
    """Train a config and return the work directory that holds its checkpoints.

    Args:
        config_path: the config file.
        work_dir: where everything is written; None for `work_dirs/<config>`.
        resume: continue from the newest checkpoint of the work directory, or from the one at this path.
        amp: mixed precision, see `with_mixed_precision`.
        auto_scale_lr: scale learning rates with the batch, see `scale_learning_rate`.
        seed: of weights, order, augmentation and mixing; None for the config's.
        deterministic: choose deterministic algorithms even where they are slower.
        options: settings of the config to change.
        launcher: `none`, `pytorch` (torchrun) or `slurm`.
        validate: validate as the config says; False for not at all.
        tensorboard: write numbers and pictures for TensorBoard too.
        progress: how to show how far it is, see `ProgressHook`; None for the config's way.
    """
    config = load_run_config(config_path, work_dir, options)
    if progress is not None:
        config.progress = progress
    if seed is not None:
        config.randomness["seed"] = seed
    if deterministic:
        config.randomness["deterministic"] = True
    if auto_scale_lr:
        config.auto_scale_lr = {**(config.get("auto_scale_lr") or {}), "enable": True}
    annotations = build_all_annotations(config)
    trained = annotations.of_split(config.train_dataloader["dataset"]["split"])
    validated = build_validation(config).choose(annotations) if validate else None

    from stal.engine.display.tensorboard import add_tensorboard
    from stal.engine.faults.explain import explained, explained_building
    from stal.engine.faults.stop import train_until_stopped
    from stal.engine.faults.work_dir import own_work_dir
    from stal.engine.loader import ended_workers
    from stal.engine.precision import with_mixed_precision
    from stal.engine.processes import joined_processes
    from stal.engine.runner import build_train_runner

    if amp:
        config = with_mixed_precision(config)
    if tensorboard:
        add_tensorboard(config)
    with joined_processes(launcher), own_work_dir(Path(config.work_dir)):
        with explained_building():
            runner = build_train_runner(config, trained, validated=validated, resume=resume, launcher=launcher)
        with explained(runner), ended_workers(runner):
            train_until_stopped(runner)
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
    headlines_only: bool = False,
    box_thresholds: str | None = None,
    launcher: str = "none",
    progress: str | None = None,
) -> dict[str, float]:
    """Test a checkpoint, write `metrics.json` into the work directory, and return the headline numbers.

    For another set than the config's own split the file is `metrics_<set>.json`.

    Args:
        config_path: the config file that the checkpoint was trained with.
        checkpoint: the checkpoint, or a work directory, whose last one is taken.
        work_dir: where everything is written; None for `work_dirs/<config>`.
        split: the split to test on, or another set as `read_tested_sets` takes it; None for the config's own split.
        dump: .npz to write detections, tubes and ground truth to.
        link: name of the linker; None for the config's.
        protocol: name of the protocol that scores; None for the config's.
        options: settings of the config to change.
        headlines_only: leave out confidence intervals and what is behind the numbers.
        box_thresholds: the set whose best thresholds `MaxBoxAccV2-3D` takes, as `read_tested_sets` takes it; it is
            tested first. None for the best of each set.
        launcher: `none`, `pytorch` (torchrun) or `slurm`.
        progress: how to show how far it is, see `ProgressHook`; None for the config's way.
    """
    config = _load_test_config(config_path, work_dir, link, protocol, options, progress)
    own_split = config.test_dataloader.dataset.split
    asked = split or own_split
    sets = read_tested_sets(config, _first_of_all([asked], box_thresholds))

    from stal.evaluation.report import print_summary

    outputs = {
        tested.given: SetOutputs(
            Path(config.work_dir) / ("metrics.json" if tested.given == own_split else f"metrics_{tested.name}.json"),
            Path(dump) if dump and tested.given == asked else None,
        )
        for tested in sets
    }
    fix = box_thresholds is not None
    results = _run(config, sets, outputs, config_path, checkpoint, headlines_only, fix, launcher)
    headlines, evaluation = results[asked]
    if evaluation is not None:
        print_summary(evaluation.summary, f"{outputs[asked].metrics}, split {asked}")
    return headlines


def measure_scene_shift(
    config_path: str,
    checkpoint: str,
    splits: Sequence[str],
    *,
    work_dir: str | None = None,
    dump: str | None = None,
    link: str | None = None,
    protocol: str | None = None,
    options: Mapping[str, Any] | None = None,
    headlines_only: bool = False,
    box_thresholds: str | None = None,
    launcher: str = "none",
    progress: str | None = None,
) -> dict[str, dict[str, float]]:
    """Test a checkpoint on several sets, compare them with the first, and return the headline numbers of each.

    Into the work directory are written `metrics_<set>.json` for each, and `scene_shift.json`, which `scene_shift`
    describes.

    Args:
        config_path: the config file that the checkpoint was trained with.
        checkpoint: the checkpoint, or a work directory, whose last one is taken.
        splits: the sets, as `read_tested_sets` takes them.
        work_dir: where everything is written; None for `work_dirs/<config>`.
        dump: .npz to write detections, tubes and ground truth to; the name of the set is put before its suffix:
            `dump_<set>.npz`.
        link: name of the linker; None for the config's.
        protocol: name of the protocol that scores; None for the config's.
        options: settings of the config to change.
        headlines_only: leave out confidence intervals and what is behind the numbers.
        box_thresholds: the set whose best thresholds `MaxBoxAccV2-3D` takes, as `read_tested_sets` takes it; it is
            tested first. None for the best of each set.
        launcher: `none`, `pytorch` (torchrun) or `slurm`.
        progress: how to show how far it is, see `ProgressHook`; None for the config's way.
    """
    config = _load_test_config(config_path, work_dir, link, protocol, options, progress)
    sets = read_tested_sets(config, _first_of_all(splits, box_thresholds))

    from stal.evaluation.outputs import write_json
    from stal.evaluation.report import print_note
    from stal.evaluation.scene_shift_table import print_scene_shift
    from stal.metrics.scene_shift import scene_shift

    folder, dumps = Path(config.work_dir), Path(dump) if dump else None
    outputs = {
        tested.given: SetOutputs(
            folder / f"metrics_{tested.name}.json",
            dumps and dumps.with_name(f"{dumps.stem}_{tested.name}{dumps.suffix}"),
        )
        for tested in sets
    }
    fix = box_thresholds is not None
    results = _run(config, sets, outputs, config_path, checkpoint, headlines_only, fix, launcher)
    names = {tested.given: tested.name for tested in sets}
    of_sets = {names[given]: results[given] for given in splits}
    evaluations = {name: evaluation for name, (_, evaluation) in of_sets.items() if evaluation is not None}
    if evaluations:
        shift = scene_shift(evaluations)
        origin = {"config": config_path, "checkpoint": str(checkpoint), "sets": {names[g]: g for g in splits}}
        write_json(folder / SCENE_SHIFT_FILE, shift | {"origin": origin})
        print_scene_shift(shift)
        print_note(
            f"numbers: {folder / SCENE_SHIFT_FILE}, {', '.join(str(of_set.metrics) for of_set in outputs.values())}"
        )
    return {name: headlines for name, (headlines, _) in of_sets.items()}


def _load_test_config(
    path: str,
    work_dir: str | None,
    link: str | None,
    protocol: str | None,
    options: Mapping[str, Any] | None,
    progress: str | None,
) -> Config:
    """Return the config with the linker, the protocol and the display that are named."""
    config = load_run_config(path, work_dir, options)
    if link is not None:
        config.linking = link
    if protocol is not None:
        config.protocol = protocol
    if progress is not None:
        config.progress = progress
    return config


def _first_of_all(splits: Sequence[str], box_thresholds: str | None) -> list[str]:
    """Return the sets to test, in the order in which they are: that of the thresholds comes first."""
    first = [] if box_thresholds is None else [box_thresholds]
    return [*first, *(split for split in splits if split != box_thresholds)]


def _run(
    config: Config,
    sets: Sequence[TestedSet],
    outputs: Mapping[str, SetOutputs],
    config_path: str,
    checkpoint: str,
    headlines_only: bool,
    fix_thresholds: bool,
    launcher: str,
) -> dict[str, tuple[dict[str, float], "Evaluation | None"]]:
    """Test on every set, and return its headline numbers and, in the first process, all its numbers."""
    from stal.engine.faults.checkpoint import load_weights
    from stal.engine.faults.explain import explained, explained_building
    from stal.engine.loader import ended_workers
    from stal.engine.processes import joined_processes
    from stal.engine.runner import build_test_runner
    from stal.evaluation.origin import describe_origin

    origin = {
        "config": config_path,
        "config_digest": config_digest(config),
        "checkpoint": str(checkpoint),
        **describe_origin(),
    }
    with joined_processes(launcher):
        with explained_building():
            runner, metrics = build_test_runner(
                config,
                sets,
                [outputs[of_set.given] for of_set in sets],
                origin=origin,
                headlines_only=headlines_only,
                fix_thresholds=fix_thresholds,
                launcher=launcher,
            )
        load_weights(getattr(runner.model, "module", runner.model), checkpoint)
        with explained(runner), ended_workers(runner):
            tested = runner.test()
    return {
        of_set.given: ({name.rpartition("/")[2]: value for name, value in headlines.items()}, metric.evaluation)
        for of_set, headlines, metric in zip(sets, tested, metrics, strict=True)
    }
