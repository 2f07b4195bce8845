"""Scenes as joints with clip labels, no mixing, no penalty: the base of the two others.

python tools/train.py configs/scenes_keypoints_plain.py
Upper line, the labels of persons: --cfg-options model.detector.train_pool=person
Lower line, every person gets the clip's score: test with --cfg-options model.detector.test_pool=clip
Not yet measured.
"""

from mmengine.config import read_base

with read_base():
    from ._base_.runtime import *
    from ._base_.scenes_keypoints import *
