"""The configs of full size: one for every data set, network and method."""

import itertools
from pathlib import Path

import pytest
import torch

from stal.engine.config import config_digest, load_config
from stal.engine.runner import build_model

CONFIGS = Path(__file__).parents[2] / "configs"
DATA_SETS = {"ucf24": 24, "jhmdb": 21}
NETWORKS = {
    "slowfast_r50_8x8": ("SlowFast", {"depth": 50, "alpha": 4, "fusion_kernel": 7, "norm": "frozen_batch"}),
    "slowfast_r50_4x16": ("SlowFast", {"depth": 50, "alpha": 8, "fusion_kernel": 5, "norm": "frozen_batch"}),
    "slowfast_r101_8x8": ("SlowFast", {"depth": 101, "alpha": 4, "fusion_kernel": 5, "norm": "frozen_batch"}),
    "slow_r50_8x8": ("SlowOnly", {"depth": 50, "alpha": 4, "norm": "frozen_batch"}),
}
TRANSFORMERS = {"mvit_v2_s": ("MViT", {}), "swin3d_t": ("Swin3d", {})}
METHODS = {"plain": (False, False), "batchmix": (True, False), "batchmix_pgg": (True, True)}
GRID = [*itertools.product(DATA_SETS, NETWORKS, METHODS), *(("ucf24", name, "batchmix_pgg") for name in TRANSFORMERS)]


@pytest.mark.parametrize(("data_set", "network", "method"), GRID)
def test_a_config_is_of_its_data_set_network_and_method(data_set, network, method):
    config = load_config(CONFIGS / f"{data_set}_{network}_{method}.py")
    kind, arguments = (NETWORKS | TRANSFORMERS)[network]
    backbone = dict(config.model.detector.backbone)
    mixes, penalised = METHODS[method]
    assert backbone.pop("type").__name__ == kind and backbone == arguments
    assert config.backbone_weights == f"weights/{network}.pth"
    assert config.model.detector.num_classes == DATA_SETS[data_set]
    assert config.data.type.__name__ == f"read_{data_set}"
    assert (config.model.penalty is not None) == penalised
    mixer = config.model.data_preprocessor.mixer
    assert (mixer is not None) == mixes
    if mixes:
        assert mixer.mask == {"ucf24": "box", "jhmdb": "silhouette"}[data_set]
        assert config.train_dataloader.dataset.get("with_masks", False) == (data_set == "jhmdb")
    assert "momentum" in config.optim_wrapper.optimizer or network in TRANSFORMERS
    assert f"configs/{data_set}_{network}_{method}.py" in (CONFIGS / f"{data_set}_{network}_{method}.py").read_text()


@pytest.mark.parametrize("network", [*NETWORKS, *TRANSFORMERS])
def test_the_model_of_a_config_can_be_built_and_takes_its_clips(network):
    config = load_config(CONFIGS / f"ucf24_{network}_batchmix_pgg.py")
    clip = config.train_dataloader.dataset
    with torch.device("meta"):
        backbone = build_model(config).detector.backbone
    assert len(backbone.slow_frames(clip.num_frames_clip)) in (4, 8, 16)
    assert backbone.spatial_stride == 16 and clip.transform.size == (224, 304)


@pytest.mark.parametrize("data_set", DATA_SETS)
def test_the_short_names_are_of_r50_8x8(data_set):
    short, long = (load_config(CONFIGS / f"{data_set}_{name}batchmix_pgg.py") for name in ("", "slowfast_r50_8x8_"))
    assert config_digest(short) == config_digest(long)
