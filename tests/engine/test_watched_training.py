"""A training that is validated, drawn and written for TensorBoard, next to the same one that is not."""

import json
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from stal.data.scenes import generate
from stal.engine.entry import train

CONFIG = str(Path(__file__).parents[2] / "configs" / "scenes_small_plain.py")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    generate(folder, 4, splits=("train", "iid"), width=96, height=72)
    return folder


def options(scenes: Path, **changes) -> dict:
    """Settings of two epochs of two iterations, as small as it gets."""
    small = {
        "data.path": str(scenes / "annotations.json"),
        "train_dataloader.batch_size": 2,
        "model.detector.backbone.width": 4,
        "model.detector.backbone.channel_ratio": 2,
        "model.detector.classifier.dropout": 0.5,  # drawn from torch's generator
        "train_cfg.max_epochs": 2,
    }
    return {**small, **changes}


WATCHED = {"validation.split": "iid", "validation.num_videos": 2, "validation.num_pictures": 1}


@pytest.fixture(scope="module")
def watched(scenes, tmp_path_factory) -> Path:
    """The work directory of a training that is watched."""
    work_dir = tmp_path_factory.mktemp("watched")
    train(CONFIG, work_dir=str(work_dir), options=options(scenes, **WATCHED), tensorboard=True, progress="plain")
    return work_dir


def weights(work_dir: Path) -> dict[str, torch.Tensor]:
    return torch.load(work_dir / "epoch_2.pth", weights_only=True)["state_dict"]


def scalars(work_dir: Path) -> list[dict]:
    (path,) = work_dir.glob("*/vis_data/scalars.json")
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("validate", [True, False])
def test_watching_a_training_changes_nothing_of_it(scenes, watched, tmp_path, validate):
    # without a split, or switched off
    settings = options(scenes) if validate else options(scenes, **WATCHED)
    time.sleep(1)  # mmengine names what logs by the second: two trainings of one second and process would share it
    train(CONFIG, work_dir=str(tmp_path), options=settings, validate=validate)
    plain, other = weights(tmp_path), weights(watched)
    assert plain.keys() == other.keys()
    assert all(torch.equal(weight, other[name]) for name, weight in plain.items())
    assert not any("frame_mAP@0.5" in line for line in scalars(tmp_path))
    assert not list(tmp_path.glob("*/vis_data/vis_image"))


@pytest.mark.slow
def test_the_metrics_of_every_epoch_are_logged(watched):
    found = {line["step"]: line["frame_mAP@0.5"] for line in scalars(watched) if "frame_mAP@0.5" in line}
    assert found.keys() == {1, 2}
    (log,) = watched.glob("*/*.log")
    assert f"Epoch(val) [2][2/2]    frame_mAP@0.5: {found[2]:.4f}" in log.read_text()


@pytest.mark.slow
def test_every_validation_draws_the_same_clips(watched):
    pictures = {path.name: path for path in watched.glob("*/vis_data/vis_image/*.png")}
    (first, last) = sorted(pictures)
    assert (first.rpartition("_")[0], first.rpartition("_")[2]) == (last.rpartition("_")[0], "2.png")  # iterations
    assert last.endswith("_4.png")
    images = [cv2.imread(str(pictures[name])) for name in (first, last)]
    assert images[0].shape[1] == images[1].shape[1] == 4 * (4 * 64 + 4)
    top = slice(0, 20)  # above the actors
    assert np.array_equal(images[0][top], images[1][top])


@pytest.mark.slow
def test_tensorboard_has_numbers_and_pictures(watched):
    (folder,) = watched.glob("*/vis_data")
    events = EventAccumulator(str(folder)).Reload()
    tags = events.Tags()
    assert {
        "train/loss",
        "train/loss_class",
        "train/lr",
        "train/grad_norm",
        "train/time",
        "train/data_time",
        "train/data_share",
    } <= set(tags["scalars"])
    logged = [line["frame_mAP@0.5"] for line in scalars(watched) if "frame_mAP@0.5" in line]
    written = [(event.step, event.value) for event in events.Scalars("val/frame_mAP@0.5")]
    assert written == [(2, pytest.approx(logged[0])), (4, pytest.approx(logged[1]))]
    assert [event.step for event in events.Scalars("train/loss")] == [2, 4]
    (picture,) = tags["images"]
    assert [image.step for image in events.Images(picture)] == [2, 4]


@pytest.mark.slow
def test_a_penalty_logs_its_energies(scenes, tmp_path):
    penalty = {"type": "stal.losses.gradient_penalty.GradientPenalty", "weight": 1e-3}
    train(CONFIG, work_dir=str(tmp_path), options=options(scenes, **{"model.penalty": penalty}), tensorboard=True)
    (folder,) = tmp_path.glob("*/vis_data")
    tags = EventAccumulator(str(folder)).Reload().Tags()["scalars"]
    assert {"train/loss_pgg", "train/pgg_energy_outside", "train/pgg_energy_inside"} <= set(tags)
