"""Scenes without a box, CuboidMix, which asks for none: tubes of class activation maps (docs/weak_labels.md).

python tools/train.py configs/scenes_cam_cuboidmix.py
Result: not yet measured.
"""

from mmengine.config import read_base

from stal.mixing.cuboid_mix import CuboidMix

with read_base():
    from ._base_.runtime import *
    from ._base_.scenes_cam import *

model.update(data_preprocessor=dict(mixer=dict(type=CuboidMix, probability=0.5)))
