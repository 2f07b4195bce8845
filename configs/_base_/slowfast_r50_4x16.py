"""SlowFast R50 4x16: the slow pathway sees 4 of 32 frames."""

from mmengine.config import read_base

from stal.models.backbone import SlowFast

with read_base():
    from .finetune import *

backbone_weights = "weights/slowfast_r50_4x16.pth"
model.update(detector=dict(backbone=dict(type=SlowFast, depth=50, alpha=8, fusion_kernel=5, norm="frozen_batch")))
