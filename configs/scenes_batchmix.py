"""Scenes, with actors of other clips of the batch pasted in.

python tools/train.py configs/scenes_batchmix.py
Time: 13 minutes on one CPU core, with another training on the other, for `--videos 400 --seed 0`.
Result (frame-mAP@0.5 / video-mAP@0.5, one seed): 70.6 / 61.0 (iid), 19.2 / 15.1 (shifted), 17.8 / 12.6 (anti).
"""

from mmengine.config import read_base

from stal.mixing.batch_mix import BatchMix

with read_base():
    from ._base_.runtime import *
    from ._base_.scenes import *

model.update(data_preprocessor=dict(mixer=dict(type=BatchMix, probability=0.5)))
