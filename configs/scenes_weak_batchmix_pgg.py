"""Scenes, clip labels only, BatchMix and the gradient penalty: the paper's setting.

python tools/train.py configs/scenes_weak_batchmix_pgg.py
Data: `_base_/scenes_weak.py` says how they are made.
Result: not yet measured.
"""

from mmengine.config import read_base

from stal.losses.gradient_penalty import GradientPenalty
from stal.mixing.batch_mix import BatchMix
from stal.mixing.mask_sources import SourceClipMasks

with read_base():
    from ._base_.runtime import *
    from ._base_.scenes_weak import *

model.update(
    data_preprocessor=dict(mixer=dict(type=BatchMix, probability=0.5, mask="silhouette", max_pasted=100)),
    penalty_masks=dict(type=SourceClipMasks),
    penalty=dict(type=GradientPenalty, weight=1e-4, interval=4),
)
