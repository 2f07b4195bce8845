from pathlib import Path

import pytest
import torch

from stal.attribution.methods import attribute
from stal.attribution.scores import gradient_tube
from stal.data.scenes.generate import generate
from stal.engine.config import load_config
from stal.engine.runner import build_model
from stal.losses.gradient_penalty import gradient_energy
from stal.ops.masks import box_masks
from stal.seeing.gradient_share import measure_gradient_share

CONFIG = str(Path(__file__).parents[2] / "configs" / "scenes_small_plain.py")


@pytest.fixture(scope="module")
def options(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("scenes")
    generate(folder, 4, splits=("iid",), width=96, height=72)
    return {"data.path": str(folder / "annotations.json")}


@pytest.fixture(scope="module")
def checkpoint(options, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    torch.manual_seed(0)
    torch.save({"state_dict": build_model(load_config(CONFIG, options)).state_dict()}, path)
    return str(path)


def test_the_share_is_a_mean_over_enough_actors(options, checkpoint, tmp_path):
    few = measure_gradient_share(CONFIG, checkpoint, min_actors=3, options=options, work_dir=str(tmp_path))
    every = measure_gradient_share(CONFIG, checkpoint, min_actors=10**6, options=options, work_dir=str(tmp_path))
    assert 3 <= few.num_actors <= 5 < every.num_actors
    for share in (few, every):
        assert 0 < share.volume_share < share.inside_share < 1


def test_it_is_the_energy_that_the_penalty_splits(options):
    torch.manual_seed(1)
    detector = build_model(load_config(CONFIG, options)).detector.eval()
    clips = torch.randn(1, 3, 8, 48, 64, requires_grad=True)
    tubelet = torch.tensor([10.0, 8.0, 30.0, 40.0]).repeat(8, 1)
    masks = box_masks(tubelet, 48, 64)[None]
    index = torch.zeros(1, dtype=torch.int64)
    energy = gradient_energy(detector.class_logits(clips, tubelet[None], index)[:, 2], clips, masks, index)
    share = gradient_tube(attribute(detector, clips[0].detach(), tubelet, 2), masks[0]).inside_share
    assert share == pytest.approx((energy.inside / (energy.inside + energy.outside)).item(), rel=1e-4)
