"""Scenes without a box, CuboidMix and the gradient penalty: tubes of class activation maps (docs/weak_labels.md).

A label's logit may depend on the voxels of the videos that have it: || (1 - M_A) . grad f_A + M_A . grad f_B ||^2.

python tools/train.py configs/scenes_cam_cuboidmix_pgg.py
Result: not yet measured.
"""

from mmengine.config import read_base

from stal.losses.gradient_penalty import GradientPenalty
from stal.mixing.cuboid_mix import CuboidMix

with read_base():
    from ._base_.runtime import *
    from ._base_.scenes_cam import *

model.update(
    data_preprocessor=dict(mixer=dict(type=CuboidMix, probability=0.5)),
    penalty=dict(type=GradientPenalty, weight=0.3, squared="ratio", blocks=(8, 4, 4), interval=4),
)
