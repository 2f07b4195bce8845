"""Scenes, no mixing, no penalty: the baseline.

python tools/train.py configs/scenes_plain.py
"""

from mmengine.config import read_base

with read_base():
    from ._base_.runtime import *
    from ._base_.scenes import *
