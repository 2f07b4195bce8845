"""Whole reports, of tiny detectors with random weights on a few generated videos."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from stal.data.detection_files import write_detections
from stal.data.formats.tubes_json import read_tubes_json
from stal.data.scenes import generate
from stal.engine.config import load_config
from stal.engine.runner import build_model
from stal.errors import AnnotationError, ConfigError
from stal.metrics.protocol import VOC
from stal.metrics.scene_shift import scene_shift
from stal.report.make import make_report
from stal.report.scored_set import read_scored_set
from stal.structures import Annotations, Detections, Tube

ROOT = Path(__file__).parents[2]
CONFIG = str(ROOT / "configs" / "scenes_plain.py")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    generate(folder, 8, splits=("train", "iid", "anti"), width=96, height=72)
    return folder / "annotations.json"


@pytest.fixture
def options(data) -> dict:
    return {
        "data.path": str(data),
        "test_dataloader.num_workers": 0,
        "test_dataloader.dataset.num_frames_clip": 8,
        "test_dataloader.dataset.transform.size": (48, 64),
        "model.detector.backbone.width": 8,
    }


def detect(annotations: Annotations, score: float, path: Path) -> None:
    """Write detections: every first tube of a video is found, and every other one is taken for the next class."""
    tubes: dict[str, list[Tube]] = {}
    for number, video in enumerate(annotations.videos):
        found = dataclasses.replace(video.tubes[0], score=score - 0.01 * number)
        wrong = dataclasses.replace(found, label=(found.label + 1) % len(annotations.classes))
        tubes[video.key] = [found if number % 2 == 0 else wrong]
    boxes = {
        key: Detections(tube.frames, tube.boxes, tube.frames * 0 + tube.label, tube.frames * 0.0 + tube.score)
        for key, (tube,) in tubes.items()
    }
    write_detections(path, annotations, boxes, tubes)


def make_work_dir(folder: Path, options: dict) -> Path:
    """A work directory with a config and a checkpoint, as training leaves them."""
    folder.mkdir()
    config = load_config(CONFIG, options)
    torch.manual_seed(0)
    config.dump(folder / "scenes_plain.py")
    torch.save({"state_dict": build_model(config).state_dict(), "meta": {}}, folder / "epoch_1.pth")
    (folder / "last_checkpoint").write_text("epoch_1.pth")
    return folder


def leave_results(folder: Path, annotations: Annotations, drop: float) -> None:
    """Leave in a work directory what a test on two sets and a training leave."""
    sets = {}
    for name, score in (("iid", 0.9), ("anti", 0.9 - drop)):
        path = folder / f"detections_{name}.npz"
        detect(annotations.of_split(name), score, path)
        sets[name] = read_scored_set(path, VOC).evaluation
    (folder / "scene_shift.json").write_text(json.dumps(scene_shift(sets)))
    log = folder / "run" / "vis_data" / "scalars.json"
    log.parent.mkdir(parents=True)
    log.write_text('{"loss": 2.0, "iter": 20, "step": 20}\n{"loss": 1.0, "iter": 40, "step": 40}\n')


def clips_of(page: str) -> list[dict]:
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, flags=re.DOTALL)
    return json.loads(data)["clips"]


@pytest.fixture
def sides(tmp_path, options, data) -> list[Path]:
    folders = [make_work_dir(tmp_path / name, options) for name in ("plain", "pgg")]
    for folder, drop in zip(folders, (0.5, 0.2), strict=True):
        leave_results(folder, read_tubes_json(data), drop)
    return folders


@pytest.mark.slow
def test_two_detectors_are_shown_beside_each_other_with_nothing_absent(sides, tmp_path):
    report = make_report(sides, tmp_path / "report", num_clips=2)
    page = report.path.read_text()
    assert report.absent == () and report.num_bytes == report.path.stat().st_size
    assert re.findall(r'data-kind="([^"]+)"', page) == ["best"] * 2 + ["worst"] * 2 + ["scene-reliant"] * 2
    clips = clips_of(page)
    assert all(len(clip["sides"]) == 2 and clip["film"].startswith("data:video/mp4") for clip in clips)
    assert all(clip["numFrames"] == len(clip["sides"][1]["boxes"]) for clip in clips)
    assert "its score is 0.50 lower on other scenes" in page and "score falls most" in page
    assert all(
        text in page for text in ("Precision and recall: tubes", "Confusion of actions", "drop 0.0", 'alt="Curves')
    )
    assert not re.search(r'(?:src|href)="(?!#|data:)', page)


@pytest.mark.slow
def test_without_copies_on_other_scenes_the_gradients_say_who_relies_on_the_scene(sides, tmp_path):
    (sides[0] / "detections_anti.npz").unlink()
    report = make_report(sides[:1], tmp_path / "report", num_clips=1)
    page = report.path.read_text()
    assert [(part.section, part.detector) for part in report.absent] == [("scene-shift", "plain")]
    assert "largest share of the gradient&#39;s energy outside" in page or "largest share of the gradient's" in page
    assert [len(clip["sides"]) for clip in clips_of(page)] == [1, 1, 1]


@pytest.mark.slow
def test_a_detector_without_detections_is_tested_first_by_the_tool(tmp_path, options, data):
    folder = make_work_dir(tmp_path / "untested", options)
    command = [sys.executable, str(ROOT / "tools" / "report.py"), str(folder), "--out", str(tmp_path / "report")]
    done = subprocess.run([*command, "--num-clips", "1"], capture_output=True, text=True, cwd=ROOT, timeout=500)
    assert done.returncode == 0, done.stderr
    assert (folder / "detections.npz").is_file() and (folder / "metrics.json").is_file()
    assert "not on the page: training of untested" in done.stdout
    assert re.search(r"report: \S+index.html \(\d+\.\d MB\)", done.stdout)


def test_what_is_absent_stands_on_the_page_with_the_command_that_makes_it(tmp_path, options):
    folder = make_work_dir(tmp_path / "untested", options)
    report = make_report([folder], tmp_path / "report", run_tests=False)
    page = report.path.read_text()
    assert {part.section for part in report.absent} == {"numbers", "clips", "scene-shift", "training"}
    assert page.count("python tools/test.py") == 3 and page.count("python tools/train.py") == 1


def test_detectors_that_were_tested_on_different_videos_are_not_compared(sides, tmp_path, data):
    annotations = read_tubes_json(data).of_split("iid")
    detect(dataclasses.replace(annotations, videos=annotations.videos[1:]), 0.9, sides[1] / "detections.npz")
    with pytest.raises(AnnotationError, match="different classes or videos; test both"):
        make_report(sides, tmp_path / "report")


@pytest.mark.parametrize(
    ("num", "settings", "message"),
    [
        (3, {}, "3 work directories"),
        (2, {}, "both detectors are called 'untested'"),
        (2, {"names": ["a"]}, "--names a: 1 for 2"),
        (1, {"configs": ["a.py", "b.py"]}, "--config a.py b.py: 2 for 1"),
        (1, {"num_clips": -1}, "--num-clips -1"),
    ],
)
def test_a_report_that_cannot_be_is_refused(tmp_path, options, num, settings, message):
    folder = make_work_dir(tmp_path / "untested", options)
    with pytest.raises(ConfigError, match=message):
        make_report([folder] * num, tmp_path / "report", run_tests=False, **settings)
