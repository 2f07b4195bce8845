"""Small scenes, no mixing, no penalty: the base of the grid of experiments/scenes.yaml."""

from mmengine.config import read_base

with read_base():
    from ._base_.runtime import *
    from ._base_.scenes_small import *
