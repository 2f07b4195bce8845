"""SlowFast R101 8x8: the slow pathway sees 8 of 32 frames; pytorchvideo's, whose fusion has kernels of 5 frames."""

from mmengine.config import read_base

from stal.models.backbone import SlowFast

with read_base():
    from .finetune import *

backbone_weights = "weights/slowfast_r101_8x8.pth"
model.update(detector=dict(backbone=dict(type=SlowFast, depth=101, alpha=4, fusion_kernel=5, norm="frozen_batch")))
