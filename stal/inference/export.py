"""Export a trained detector to one file that needs neither this project nor its config, and check what it computes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from mmengine.config import Config
from torch.export import Dim, ExportedProgram
from torch.fx.experimental import _config

import stal
from stal.data.formats.whole_file import open_whole
from stal.data.transforms import TestTransform
from stal.engine.build import build
from stal.engine.config import load_config, with_options
from stal.engine.faults.checkpoint import read_classes
from stal.engine.model import DetectionModel
from stal.errors import ConfigError, ExportError
from stal.inference.export_check import TOLERANCE, Difference, compare, random_inputs
from stal.inference.exportable import ExportableDetector
from stal.inference.exported_file import check_format, run_bytes, write_bytes
from stal.inference.stream_detector import load_trained_model, refuse_own_proposals

LEFT_OUTSIDE = (
    "before it, stretching frames to the size of the clip (stal.data.transforms.TestTransform)",
    "after it, non-maximum suppression per class and leaving out low scores (stal.models.detector.suppress)",
    "after it, boxes in pixels of the video (stal.data.transforms.to_video_boxes), and tubes (stal.linking)",
)
"""What of detecting is not in an exported file, and where it is."""

BoxSource = Literal["network", "input"]

AXES: dict[BoxSource, dict[str, dict[int, str]]] = {
    "network": {"frames": {0: "num_clips"}},
    "input": {"frames": {0: "num_clips"}, "boxes": {0: "num_clips", 1: "num_boxes"}},
}
"""The inputs, and the names of their axes that may have any length."""


def export_detector(
    config_path: str,
    checkpoint: str,
    out: str | Path,
    *,
    file_format: str = "onnx",
    proposals: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Difference:
    """Write the detector of a config and a checkpoint to a file, after the content was read back, run and compared.

    Args:
        config_path: the config file that the checkpoint was trained with.
        checkpoint: the checkpoint, or a work directory, whose last one is taken.
        out: the file.
        file_format: `pt2` (torch.export) or `onnx`.
        proposals: where boxes on keyframes come from: the detector itself (`network`), or whoever runs it (`input`);
            None for the detector if it was trained to propose boxes, else an input.
        options: settings of the config to change.

    Returns:
        How much random clips are seen differently, by onnxruntime or torch on the CPU.

    Raises:
        ConfigError: the config, or one of the arguments, cannot be used, or the file cannot be written.
        CheckpointError: the checkpoint cannot be used, or does not name its classes.
        ExportError: the detector cannot be exported, or what was exported gives something else.
    """
    known_format = check_format(file_format)
    config = with_options(load_config(config_path), options or {})
    source = _box_source(proposals, config, config_path)
    clip_shape, stride = _clip_of_tests(config, config_path)
    classes = read_classes(checkpoint)
    model = load_trained_model(config, checkpoint)
    if model.detector.test_pool == "clip":
        raise ConfigError(
            f"{config_path}: model.detector.test_pool = 'clip' gives everyone the scores of the clip, and is no "
            "detector to export; use 'roi'"
        )
    description = {
        "format": "stal-exported-detector",
        "version": 1,
        "stal": stal.__version__,
        "classes": classes,
        "clip": dict(zip(("num_frames", "height", "width"), clip_shape, strict=True)) | {"stride": stride},
        "proposals": source,
        "suppression": {"nms_iou": model.detector.nms_iou, "min_score": model.detector.min_score},
    }
    program = export_program(model, clip_shape, source)
    content = write_bytes(program, known_format, AXES[source], json.dumps(description))
    inputs = random_inputs(clip_shape, num_clips=3, num_boxes=5 if source == "input" else None)
    difference = compare(model, run_bytes(content, known_format, inputs), inputs)
    if not difference.is_small:
        raise ExportError(
            f"{out} is not written: what was exported differs from the detector by {difference.boxes:.2g} pixels and "
            f"{difference.scores:.2g} in scores, more than {TOLERANCE} of the clip's size and {TOLERANCE}; try the "
            "other --format"
        )
    with open_whole(out) as file:
        file.write(content)
    return difference


def export_program(model: DetectionModel, clip_shape: tuple[int, int, int], proposals: BoxSource) -> ExportedProgram:
    """Return the detector of a model as a program of torch.

    Args:
        model: trained, on the CPU.
        clip_shape: (frames, height, width) of the clips.
        proposals: where boxes on keyframes come from, see `export_detector`.

    Raises:
        ExportError: torch cannot export it.
    """
    if not hasattr(_config, "backed_size_oblivious"):
        raise ExportError(
            f"torch {torch.__version__} is too old to export for any number of clips: 2.15 is known to do"
        )
    inputs = random_inputs(clip_shape, num_clips=2, num_boxes=3 if proposals == "input" else None)
    dims = {name: Dim(name, min=1) for name in ("num_clips", "num_boxes")}
    shapes = tuple({axis: dims[name] for axis, name in axes.items()} for axes in AXES[proposals].values())
    try:
        # As torch.onnx does it: else the program refuses a single clip or box, though it would compute it rightly.
        with _config.patch(backed_size_oblivious=True):  # type: ignore[attr-defined]
            return torch.export.export(ExportableDetector(model), inputs, dynamic_shapes=shapes, strict=False)
    except RuntimeError as error:  # torch's own kinds of it
        backbone = type(model.detector.backbone).__name__
        raise ExportError(f"torch {torch.__version__} cannot export a detector with {backbone}: {error}") from error


def _box_source(proposals: str | None, config: Config, config_path: str) -> BoxSource:
    """Return the source of boxes that is named, or that the detector was trained with."""
    if proposals is None:
        return "network" if config.model.get("proposals", "network") == "network" else "input"
    if proposals == "network":
        refuse_own_proposals(config, config_path, "let boxes be an input (--proposals input)")
        return "network"
    if proposals == "input":
        return "input"
    raise ConfigError(f"--proposals {proposals!r} is none of {', '.join(AXES)}")


def _clip_of_tests(config: Config, config_path: str) -> tuple[tuple[int, int, int], int]:
    """Return (frames, height, width) of the clips of a config's tests, and their stride."""
    dataset = build(config.test_dataloader["dataset"], "test_dataloader.dataset")
    transform = dataset["transform"]
    if not isinstance(transform, TestTransform):
        raise ConfigError(
            f"test_dataloader.dataset.transform = {transform!r} in {config_path}: exported are detectors of clips of "
            "one size, which TestTransform makes"
        )
    return (dataset["num_frames_clip"], *transform.size), dataset["stride"]
