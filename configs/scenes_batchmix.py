"""Scenes, with actors of other clips of the batch pasted in.

python tools/train.py configs/scenes_batchmix.py
"""

from mmengine.config import read_base

from stal.mixing.batch_mix import BatchMix

with read_base():
    from ._base_.runtime import *
    from ._base_.scenes import *

model.update(data_preprocessor=dict(mixer=dict(type=BatchMix, probability=0.5)))
