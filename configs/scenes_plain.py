"""Scenes, no mixing, no penalty: the baseline.

python tools/train.py configs/scenes_plain.py
Time: 13 minutes on one CPU core, with another training on the other, for `--videos 400 --seed 0`.
Result (frame-mAP@0.5 / video-mAP@0.5, one seed): 72.3 / 67.1 (iid), 16.1 / 11.5 (shifted), 14.7 / 8.7 (anti).
"""

from mmengine.config import read_base

with read_base():
    from ._base_.runtime import *
    from ._base_.scenes import *
