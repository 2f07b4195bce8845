"""From a config to an mmengine runner: data, model and metrics are built here, the rest by mmengine."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from mmengine.config import Config
from mmengine.dist import get_world_size
from mmengine.model import BaseModel
from mmengine.runner import Runner

from stal.data.clips import ClipDataset
from stal.data.fingerprint import data_fingerprint
from stal.engine.backbone_weights import load_backbone_weights
from stal.engine.build import build
from stal.engine.clip_model import ClipModel
from stal.engine.compiling import compile_backbone
from stal.engine.config import fit_schedules, training_settings, with_options
from stal.engine.display.validation_pictures import ValidationPictures
from stal.engine.faults.checkpoint import find_checkpoint, find_last
from stal.engine.faults.first_process import in_first_process
from stal.engine.faults.resume import check_start
from stal.engine.loader import ClipLoader, build_loader
from stal.engine.metrics import TubeMetrics
from stal.engine.model import DetectionModel
from stal.engine.precision import refuse_wrong_gradients
from stal.engine.processes import join_processes, refuse_statistics_apart, scale_learning_rate, wrap_config
from stal.engine.sets_loop import SetsLoop
from stal.engine.tested_sets import SetOutputs, TestedSet
from stal.engine.train_loop import ExactTrainLoop, ValidatedEpochHook
from stal.engine.validation import build_validation
from stal.errors import ConfigError
from stal.linking.linker import LINKERS, Linker, find_linker
from stal.losses.penalty import Penalty
from stal.metrics.bootstrap import NUM_DRAWS
from stal.metrics.protocol import Protocol, find_protocol
from stal.models.backbone import Backbone
from stal.structures import Annotations

_logger = logging.getLogger(__name__)


def build_any_model(config: Config) -> BaseModel:
    """Return the model of a config, with random weights."""
    return build(config.model, "model")


def build_model(config: Config) -> DetectionModel:
    """Return the tube detector of a config, with random weights.

    Raises:
        ConfigError: the model is another one.
    """
    model = build_any_model(config)
    if not isinstance(model, DetectionModel):
        raise ConfigError(
            f"model.type = {type(model).__name__}: this asks for a DetectionModel, which finds actors in pixels; "
            "others are trained and tested alone, with tools/train.py and tools/test.py"
        )
    return model


def build_linker(config: Config) -> Linker:
    """Return the linker that `linking` of a config names, or describes by `dict(type=Linker, ...)`."""
    linking = config.get("linking", "default")
    if isinstance(linking, str):
        return find_linker(linking)
    linker = build(linking, "linking")
    if not isinstance(linker, Linker):
        raise ConfigError(f"linking = {linking!r} is neither one of {', '.join(LINKERS)} nor dict(type=Linker, ...)")
    return linker


def build_protocol(config: Config) -> Protocol:
    """Return the protocol that a config names."""
    return find_protocol(config.get("protocol", "voc"))


def build_train_runner(
    config: Config,
    annotations: Annotations,
    *,
    validated: Annotations | None = None,
    resume: bool | str = False,
    launcher: str = "none",
) -> Runner:
    """Return a runner that trains the config's model on `annotations`.

    Args:
        config: a whole config.
        annotations: the training videos.
        validated: the videos that it is validated on meanwhile, as `validation` of the config says; None for none.
        resume: continue from the newest checkpoint of the work directory, or from the one at this path.
        launcher: `none`, `pytorch` (torchrun) or `slurm`.

    Raises:
        ConfigError: the config asks for what cannot be, such as a penalty on scenes of videos whose scenes are unknown.
        CheckpointError: the checkpoint to start from, or the backbone's weights, cannot be used.
    """
    config = wrap_config(config, launcher)
    join_processes(launcher)
    refuse_wrong_gradients(config)
    config = scale_learning_rate(config, get_world_size())
    seed = _seed(config)
    torch.manual_seed(seed)  # the weights are drawn before the runner sets the seed
    model = build_any_model(config)
    norms = [part.norm for part in model.modules() if isinstance(part, Backbone)]
    for norm in norms:
        refuse_statistics_apart(norm, config, get_world_size())
    _refuse_unknown_scenes(config, annotations, model.penalty)
    compile_backbone(config, model, training=True)
    loader = build_loader(config, "train_dataloader", annotations, seed)
    # By one for all: with disks of their own, or one that does not answer, they could start from different ones.
    start, is_resumed = in_first_process(lambda: _find_start(config, resume))
    weights, loaded = config.get("backbone_weights"), None
    if start is None and weights is not None:
        # The first process hands its weights to the others when its model is wrapped.
        loaded = in_first_process(lambda: load_backbone_weights(model, weights))
    elif start is None:
        for norm in norms:
            _refuse_frozen_from_scratch(norm)
    if start is not None:
        order = {"num_processes": get_world_size(), "batch_size": loader.batch_size, "seed": seed}
        check_start(start, model, {**order, **training_settings(config)} if is_resumed else None)
    arguments = {
        "model": model,
        "train_dataloader": loader,
        "train_cfg": _train_loop(config),
        "optim_wrapper": config.optim_wrapper,
        "param_scheduler": fit_schedules(config),
        "load_from": start,
        "resume": is_resumed,
        **_common(config, launcher),
    }
    runner = Runner(**arguments if validated is None else arguments | _validating(config, validated, model))
    if loaded is not None:
        runner.logger.info(loaded)
    return runner


def build_test_runner(
    config: Config,
    sets: Sequence[TestedSet],
    outputs: Sequence[SetOutputs],
    *,
    origin: Mapping[str, Any],
    headlines_only: bool = False,
    fix_thresholds: bool = False,
    launcher: str = "none",
) -> tuple[Runner, list[TubeMetrics]]:
    """Return a runner that tests the config's model on each of some sets, and the metrics of each.

    Args:
        config: a whole config.
        sets: what to test on.
        outputs: what is written of each set.
        origin: what the metrics are of, written beside them.
        headlines_only: leave out confidence intervals and what is behind the numbers.
        fix_thresholds: take the thresholds of maps that are the best on the first set for all sets.
        launcher: `none`, `pytorch` (torchrun) or `slurm`.

    Raises:
        ConfigError: there are thresholds to fix, but the model has no maps.
    """
    model = build_any_model(config)
    if fix_thresholds and not isinstance(model, ClipModel):
        raise ConfigError(
            f"--box-thresholds: model.type = {type(model).__name__} has no maps that a threshold makes boxes of; a "
            "ClipModel has"
        )
    compile_backbone(config, model, training=False)
    linker, protocol = build_linker(config), build_protocol(config)
    config = wrap_config(config, launcher)
    join_processes(launcher)
    loaders = [_test_loader(config, tested.annotations) for tested in sets]
    metrics: list[TubeMetrics] = []
    for tested, of_set, loader in zip(sets, outputs, loaders, strict=True):
        metrics.append(
            TubeMetrics(
                tested.annotations,
                num_clips=cast(ClipDataset, loader.dataset).num_clips,
                linker=linker,
                protocol=protocol,
                out=of_set.metrics,
                origin={**origin, "split": tested.given, "data": data_fingerprint(tested.annotations)},
                dump=of_set.dump,
                num_draws=0 if headlines_only else NUM_DRAWS,
                headlines_only=headlines_only,
                prefix=tested.name if len(sets) > 1 else None,
                thresholds_of=metrics[0] if fix_thresholds and metrics else None,
            )
        )
    runner = Runner(
        model=model,
        test_dataloader=loaders,
        test_cfg={"type": SetsLoop},
        test_evaluator=[[of_set] for of_set in metrics],
        **_common(config, launcher),
    )
    return runner, metrics


def _test_loader(config: Config, annotations: Annotations) -> ClipLoader:
    """Return the loader of a test on `annotations`, without silhouettes.

    No test looks at them, and to read them takes as long as to decode the video.
    """
    if config.test_dataloader.dataset.get("with_masks"):
        config = with_options(config, {"test_dataloader.dataset.with_masks": False})
    return build_loader(config, "test_dataloader", annotations, _seed(config))


def _validating(config: Config, annotations: Annotations, model: BaseModel) -> dict[str, Any]:
    """Return the arguments of a training's Runner that make it validate `model` on `annotations`."""
    validation, loader = build_validation(config), _test_loader(config, annotations)
    metric = TubeMetrics(
        annotations,
        num_clips=cast(ClipDataset, loader.dataset).num_clips,
        linker=build_linker(config),
        protocol=build_protocol(config),
        num_draws=0,
        headlines_only=True,
    )
    pictures = [ValidationPictures(validation.num_pictures)] if isinstance(model, DetectionModel) else []
    return {
        "val_dataloader": loader,
        "val_cfg": {},
        "val_evaluator": [metric],
        "train_cfg": {**_train_loop(config), "val_interval": validation.interval},
        "custom_hooks": [
            *(config.get("custom_hooks") or ()),
            ValidatedEpochHook(),
            *pictures,
        ],
    }


def _common(config: Config, launcher: str) -> dict[str, Any]:
    """Return the arguments of the Runner that training and testing share."""
    return {
        "work_dir": config.work_dir,
        "default_hooks": config.get("default_hooks"),
        "custom_hooks": config.get("custom_hooks"),
        "log_processor": config.get("log_processor"),
        "log_level": config.get("log_level", "INFO"),
        "visualizer": config.get("visualizer"),
        "env_cfg": config.get("env_cfg", {}),
        "randomness": {**(config.get("randomness") or {}), "seed": _seed(config)},
        "launcher": launcher,
        "default_scope": "mmengine",
        "cfg": config,
    }


def _train_loop(config: Config) -> dict[str, Any]:
    """Return `train_cfg` with the loop that goes on exactly; others count in iterations, or begin epochs anew."""
    settings = dict(config.train_cfg)
    if not settings.pop("by_epoch", True) or settings.get("type", ExactTrainLoop) is not ExactTrainLoop:
        raise ConfigError(
            f"train_cfg = {dict(config.train_cfg)}: trainings are counted in epochs, by a loop of the project's own: "
            "set dict(by_epoch=True, max_epochs=NUMBER)"
        )
    return {**settings, "type": ExactTrainLoop}


def _find_start(config: Config, resume: bool | str) -> tuple[str | None, bool]:
    """Return the checkpoint to start from, None for none, and whether a training goes on from it."""
    if isinstance(resume, str):
        return str(find_checkpoint(resume)), True
    if resume:
        last = find_last(Path(config.work_dir))
        if last is not None:
            return str(last), True
        _logger.warning("%s has no checkpoint to resume from yet: the training begins", config.work_dir)
    load_from = config.get("load_from")
    return (None if load_from is None else str(find_checkpoint(load_from))), False


def _seed(config: Config) -> int:
    return int((config.get("randomness") or {}).get("seed") or 0)


def _refuse_frozen_from_scratch(norm: str) -> None:
    """Refuse norms that are frozen at what they begin with, which normalises nothing."""
    if norm == "frozen_batch":
        raise ConfigError(
            "model.detector.backbone.norm = 'frozen_batch' needs statistics of another training: name its weights in "
            "backbone_weights or load_from, or train from scratch with norm='group'"
        )


def _refuse_unknown_scenes(config: Config, annotations: Annotations, penalty: Penalty | None) -> None:
    """Refuse a penalty on scenes where none is known, and it would silently do little or nothing, or too many are."""
    if penalty is None or penalty.num_scenes is None:
        return
    name, num_scenes = type(penalty).__name__, len(annotations.scenes)
    if num_scenes == 0:
        arguments = ", ".join(f"{k}={v!r}" for k, v in config.data.items() if k != "type" and v is not None)
        reader = getattr(config.data.type, "__name__", config.data.type)
        raise ConfigError(
            f"model.penalty: {name} needs to know which scene a video shows, but of the {len(annotations.videos)} "
            f"training videos of data = {reader}({arguments}) none has a scene: name their scenes in an annotation "
            "file of this project (`scene` in docs/annotations.md), or use a penalty that needs none"
        )
    if num_scenes > penalty.num_scenes:
        raise ConfigError(
            f"model.penalty: {name} has num_scenes = {penalty.num_scenes}, but the training videos show {num_scenes} "
            f"scenes: set model.penalty.num_scenes={num_scenes}"
        )
