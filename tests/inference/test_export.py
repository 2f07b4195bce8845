import io
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import jaxtyping
import pytest
import torch

from stal.data.transforms import TrainTransform
from stal.engine.config import load_config
from stal.errors import CheckpointError, ConfigError, ExportError
from stal.inference import export, exported_file
from stal.inference.export import export_detector, export_program
from stal.inference.export_check import TOLERANCE, Difference, compare, random_inputs
from stal.inference.exportable import ExportableDetector
from stal.inference.stream_detector import load_trained_model
from stal.models.detector import Tubelets, suppress

ROOT = Path(__file__).parents[2]
CLIP_SHAPE, CLIP_SIDE = (8, 48, 64), 64
OWN_BOXES = {"model.proposals": "network"}

needs_onnx = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("onnx", "onnxscript", "onnxruntime")),
    reason="onnx, onnxscript and onnxruntime are not installed: pip install 'stal[export]'",
)


@pytest.fixture(scope="module", autouse=True)
def _without_checks_of_shapes():
    """Let exporters see sizes that are symbols, which checks of shapes would turn into numbers."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def model(checkpoint, config_path):
    return load_trained_model(load_config(config_path), str(checkpoint))


@pytest.fixture(scope="module")
def program(checkpoint, config_path):
    """The detector, with boxes as an input."""
    return export_program(load_trained_model(load_config(config_path), str(checkpoint)), CLIP_SHAPE, "input")


@pytest.mark.parametrize("num_boxes", [None, 1, 4])
def test_the_exportable_form_gives_what_the_detector_gives(model, num_boxes):
    inputs = random_inputs(CLIP_SHAPE, num_clips=2, num_boxes=num_boxes)
    outputs = ExportableDetector(model)(*inputs)
    assert [len(output) for output in outputs] == [2, 2, 2]
    difference = compare(model, outputs, inputs)
    assert (difference.boxes, difference.clip_side) == (0.0, CLIP_SIDE)
    assert difference.scores < 1e-6


def test_after_suppression_it_gives_what_a_prediction_gives(model):
    inputs = random_inputs(CLIP_SHAPE, num_clips=2, num_boxes=None)
    model.detector.min_score = 1e-6
    expected = model.detector.predict(model.data_preprocessor.normalize(inputs[0]))
    for own, *outputs in zip(expected, *ExportableDetector(model)(*inputs), strict=True):
        found = suppress(Tubelets(*outputs), nms_iou=model.detector.nms_iou, min_score=1e-6)
        assert len(own.boxes) > 0
        for theirs, values in zip(found, own, strict=True):
            torch.testing.assert_close(theirs, values)


@pytest.mark.parametrize("num_boxes", [None, 4])
@pytest.mark.parametrize("changed", [0, 1, 2])
def test_a_difference_in_one_number_is_found(model, num_boxes, changed):
    inputs = random_inputs(CLIP_SHAPE, num_clips=2, num_boxes=num_boxes)
    outputs = [output.clone() for output in ExportableDetector(model)(*inputs)]
    outputs[changed][1, 2, 3] += 0.5
    difference = compare(model, outputs, inputs)
    assert not difference.is_small
    if num_boxes is not None:  # else a score that is far off makes another tubelet more alike
        assert difference.scores == pytest.approx(0.5 if changed else 0.0, abs=1e-5)
        assert difference.boxes == pytest.approx(0.0 if changed else 0.5, abs=1e-4)
    outputs[changed][1, 2, 3] = torch.nan
    assert not compare(model, outputs, inputs).is_small


def test_the_order_matters_only_where_scores_make_it(model):
    for num_boxes, is_small in ((None, True), (4, False)):
        inputs = random_inputs(CLIP_SHAPE, num_clips=2, num_boxes=num_boxes)
        turned = [output.flip(1) for output in ExportableDetector(model)(*inputs)]
        assert compare(model, turned, inputs).is_small is is_small


@pytest.mark.parametrize(
    ("boxes", "scores", "is_small"),
    [
        (0.0, 0.0, True),
        (TOLERANCE * CLIP_SIDE, TOLERANCE, True),
        (0.0, 1.1 * TOLERANCE, False),
        (1.1 * TOLERANCE * CLIP_SIDE, 0.0, False),
        (float("inf"), 0.0, False),
    ],
)
def test_the_tolerance_of_boxes_grows_with_the_clip(boxes, scores, is_small):
    assert Difference(boxes, scores, CLIP_SIDE).is_small is is_small


def test_a_pt2_file_says_what_it_is_and_takes_any_number_of_clips_and_boxes(
    checkpoint, config_path, model, program, tmp_path, monkeypatch
):
    monkeypatch.setattr(export, "export_program", lambda *arguments: program)
    path = tmp_path / "new" / "detector.pt2"
    assert export_detector(config_path, str(checkpoint), path, file_format="pt2").is_small
    extra = {exported_file.DESCRIPTION: ""}
    loaded = torch.export.load(io.BytesIO(path.read_bytes()), extra_files=extra)
    described = json.loads(extra[exported_file.DESCRIPTION])
    assert described["clip"] == {"num_frames": 8, "stride": 2, "height": 48, "width": 64}
    assert described["proposals"] == "input"  # as the detector of this config is trained
    assert len(described["classes"]) == 9
    for num_clips, num_boxes in ((1, 1), (2, 7)):
        inputs = random_inputs(CLIP_SHAPE, num_clips, num_boxes)
        assert compare(model, loaded.module()(*inputs), inputs).is_small


@pytest.mark.slow
@needs_onnx
def test_an_onnx_file_takes_any_number_of_clips_and_boxes(model, program):
    content = exported_file.write_bytes(program, "onnx", export.AXES["input"], "{}")
    for num_clips, num_boxes in ((1, 1), (2, 7)):
        inputs = random_inputs(CLIP_SHAPE, num_clips, num_boxes)
        assert compare(model, exported_file.run_bytes(content, "onnx", inputs), inputs).is_small


@pytest.mark.slow
@needs_onnx
@pytest.mark.parametrize("proposals", ["network", "input"])
def test_onnxruntime_gives_what_the_detector_gives(checkpoint, config_path, tmp_path, proposals):
    import onnxruntime

    path = tmp_path / "detector.onnx"
    options = OWN_BOXES if proposals == "network" else None
    assert export_detector(config_path, str(checkpoint), path, proposals=proposals, options=options).is_small
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    shapes = {value.name: value.shape for value in [*session.get_inputs(), *session.get_outputs()]}
    num_tubelets = 8 if proposals == "network" else "num_boxes"
    expected = {
        "frames": ["num_clips", 3, *CLIP_SHAPE],
        "boxes": ["num_clips", "num_boxes", 4],
        "tubelets": ["num_clips", num_tubelets, 8, 4],
        "class_scores": ["num_clips", num_tubelets, 9],
        "presence": ["num_clips", num_tubelets, 8],
    }
    assert shapes == {name: shape for name, shape in expected.items() if name != "boxes" or proposals == "input"}
    described = json.loads(session.get_modelmeta().custom_metadata_map[exported_file.DESCRIPTION])
    assert described["proposals"] == proposals
    assert described["suppression"] == {"nms_iou": 0.5, "min_score": 0.01}


def test_what_computes_something_else_is_not_written(checkpoint, config_path, model, tmp_path, monkeypatch):
    def shifted(content, file_format, inputs):
        tubelets, scores, presence = ExportableDetector(model)(*inputs)
        return [tubelets, scores + 0.01, presence]

    monkeypatch.setattr(export, "export_program", lambda *arguments: None)
    monkeypatch.setattr(export, "write_bytes", lambda *arguments: b"")
    monkeypatch.setattr(export, "run_bytes", shifted)
    with pytest.raises(ExportError, match=r"is not written.*0\.01 in scores"):
        export_detector(config_path, str(checkpoint), tmp_path / "wrong.pt2", file_format="pt2")
    assert list(tmp_path.iterdir()) == []


def test_what_torch_cannot_export_is_said(checkpoint, config_path, tmp_path, monkeypatch):
    class LooksAtValues(ExportableDetector):
        def forward(self, frames, boxes):
            return super().forward(frames, boxes) if boxes.sum() > 0 else ()

    monkeypatch.setattr(export, "ExportableDetector", LooksAtValues)
    with pytest.raises(ExportError, match="cannot export a detector with SlowFast"):
        export_detector(config_path, str(checkpoint), tmp_path / "none.pt2", file_format="pt2")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"file_format": "trt"}, "--format 'trt' is none of pt2, onnx"),
        ({"proposals": "network"}, "was not trained to find actors itself; let boxes be an input"),
        ({"options": {"model.detector.test_pool": "clip"}}, "test_pool = 'clip' gives everyone the scores of the clip"),
        ({"proposals": "yolo"}, "--proposals 'yolo' is none of network, input"),
        ({"options": {"test_dataloader.dataset.transform": {"type": TrainTransform, "size": (48, 64)}}}, "of one size"),
    ],
)
def test_what_cannot_work_is_said(checkpoint, config_path, tmp_path, arguments, said):
    with pytest.raises(ConfigError, match=said):
        export_detector(config_path, str(checkpoint), tmp_path / "x", **{"file_format": "pt2", **arguments})


def test_without_onnx_the_command_that_gets_it_is_said(checkpoint, config_path, tmp_path, monkeypatch):
    monkeypatch.setattr(exported_file, "find_spec", lambda name: None if name == "onnxruntime" else object())
    with pytest.raises(ConfigError, match=r"ONNX needs onnxruntime: pip install 'stal\[export\]'"):
        export_detector(config_path, str(checkpoint), tmp_path / "x.onnx")


def test_a_checkpoint_that_is_not_there_is_named(config_path, tmp_path):
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        export_detector(config_path, str(tmp_path / "none.pth"), tmp_path / "x.pt2", file_format="pt2")


@pytest.mark.slow
def test_the_tool_says_what_is_left_outside(checkpoint, config_path, tmp_path):
    path = tmp_path / "detector.pt2"
    tool = [sys.executable, str(ROOT / "tools" / "export.py"), config_path, str(checkpoint)]
    ran = subprocess.run(
        [*tool, "--out", str(path), "--format", "pt2"], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert path.is_file()
    assert "differs from the detector by at most" in ran.stdout
    for step in export.LEFT_OUTSIDE:
        assert step in ran.stdout
