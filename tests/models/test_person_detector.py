from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights, fasterrcnn_resnet50_fpn

from stal.errors import CheckpointError, DataNotFoundError
from stal.models.person_detector import PersonDetector


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache of torch hub."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def test_without_weights_it_is_said_how_to_get_them_and_nothing_is_downloaded(cache):
    with pytest.raises(DataNotFoundError) as error:
        PersonDetector()
    message = str(error.value)
    assert f"curl --create-dirs --location --output {cache}/fasterrcnn_resnet50_fpn_v2" in message
    assert "https://download.pytorch.org/models/fasterrcnn_resnet50_fpn_v2" in message
    assert not list(cache.iterdir())


def test_broken_weights_are_said(cache):
    name = Path(FasterRCNN_ResNet50_FPN_Weights.COCO_V1.url).name
    (cache / name).write_bytes(b"<html>not found</html>")
    with pytest.raises(CheckpointError, match=f"{name} are broken"):
        PersonDetector()


@pytest.mark.slow
def test_only_people_are_proposed(cache, monkeypatch):
    torch.manual_seed(0)
    weights = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None).state_dict()
    torch.save(weights, cache / Path(FasterRCNN_ResNet50_FPN_Weights.COCO_V1.url).name)
    detector = PersonDetector(min_score=0.0)
    assert not detector.network.training
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)
    boxes = detector(image)
    assert boxes.shape[1] == 4
    assert (boxes >= 0).all() and (boxes[:, 2] <= 80).all() and (boxes[:, 3] <= 60).all()

    found = {"boxes": torch.arange(12.0).reshape(3, 4), "labels": torch.tensor([1, 18, 1])}
    monkeypatch.setattr(detector.network, "forward", lambda images: [found])
    np.testing.assert_array_equal(detector(image), [[0, 1, 2, 3], [8, 9, 10, 11]])
