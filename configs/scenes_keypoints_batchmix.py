"""Scenes as joints with clip labels, the persons of two videos in one clip.

python tools/train.py configs/scenes_keypoints_batchmix.py
Not yet measured.
"""

from mmengine.config import read_base

from stal.mixing.keypoint_mix import KeypointMix

with read_base():
    from ._base_.runtime import *
    from ._base_.scenes_keypoints import *

model.update(data_preprocessor=dict(mixer=dict(type=KeypointMix, probability=0.5)))
