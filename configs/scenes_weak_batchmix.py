"""Scenes, clip labels only, BatchMix of actors and label sets.

python tools/train.py configs/scenes_weak_batchmix.py
Data: `_base_/scenes_weak.py` says how they are made.
Result: not yet measured.
"""

from mmengine.config import read_base

from stal.mixing.batch_mix import BatchMix

with read_base():
    from ._base_.runtime import *
    from ._base_.scenes_weak import *

model.update(data_preprocessor=dict(mixer=dict(type=BatchMix, probability=0.5, mask="silhouette", max_pasted=100)))
