"""Small scenes of which training knows the labels of whole videos, and where people are, but not who does what.

    python tools/make_scenes.py data/scenes_weak --videos 360 --correlation 0.8 --size 96x72 --mixed-actions 0.5

The actors of a video do different things there: labels of clips do not tell who does what. Two lines to compare with
are settings of the same config: the upper one knows (`--cfg-options model.detector.train_pool=roi`), the lower one says
of everyone what it says of the clip (`--cfg-options model.detector.test_pool=clip` of tools/test.py).
"""

from mmengine.config import read_base

with read_base():
    from .scenes_small import *

data.update(path="data/scenes_weak/annotations.json")
model.update(data_preprocessor=dict(mask="silhouette"), detector=dict(train_pool="clip"))
