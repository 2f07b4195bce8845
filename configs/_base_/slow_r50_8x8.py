"""Slow-only R50 8x8: the slow pathway of SlowFast by itself, which sees 8 of 32 frames."""

from mmengine.config import read_base

from stal.models.backbone import SlowOnly

with read_base():
    from .finetune import *

backbone_weights = "weights/slow_r50_8x8.pth"
model.update(detector=dict(backbone=dict(type=SlowOnly, depth=50, alpha=4, norm="frozen_batch")))
