"""Scenes, clip labels only, no mixing, no penalty: the baseline.

python tools/train.py configs/scenes_weak_plain.py
Data: `_base_/scenes_weak.py` says how they are made.
Result: not yet measured.
"""

from mmengine.config import read_base

with read_base():
    from ._base_.runtime import *
    from ._base_.scenes_weak import *
