"""Scenes, BatchMix and the gradient penalty.

python tools/train.py configs/scenes_batchmix_pgg.py
Time: 7.5 minutes on two CPU cores, for `--videos 400 --seed 0`.
Result (frame-mAP@0.5 / video-mAP@0.5, one seed): 66.2 / 57.5 (iid), 18.2 / 14.0 (shifted), 18.2 / 15.4 (anti).
"""

from mmengine.config import read_base

from stal.losses.gradient_penalty import GradientPenalty
from stal.mixing.batch_mix import BatchMix

with read_base():
    from ._base_.runtime import *
    from ._base_.scenes import *

model.update(
    data_preprocessor=dict(mixer=dict(type=BatchMix, probability=0.5)),
    penalty=dict(type=GradientPenalty, weight=1e-4, interval=8),
)
