"""Scenes without a box, no mixing, no penalty: tubes of class activation maps (docs/weak_labels.md).

python tools/make_scenes.py data/scenes_weak --videos 360 --correlation 0.8 --size 96x72 --mixed-actions 0.5
python tools/train.py configs/scenes_cam_plain.py
Result: not yet measured.
"""

from mmengine.config import read_base

with read_base():
    from ._base_.runtime import *
    from ._base_.scenes_cam import *
