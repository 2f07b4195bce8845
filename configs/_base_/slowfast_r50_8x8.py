"""SlowFast R50 8x8: the slow pathway sees 8 of 32 frames."""

from mmengine.config import read_base

from stal.models.backbone import SlowFast

with read_base():
    from .finetune import *

backbone_weights = "weights/slowfast_r50_8x8.pth"
model.update(detector=dict(backbone=dict(type=SlowFast, depth=50, alpha=4, fusion_kernel=7, norm="frozen_batch")))
