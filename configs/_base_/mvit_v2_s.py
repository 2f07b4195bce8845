"""MViTv2-S of torchvision, of 16 frames."""

from mmengine.config import read_base

from stal.models.backbone import MViT

with read_base():
    from .finetune_transformer import *

backbone_weights = "weights/mvit_v2_s.pth"
model.update(detector=dict(backbone=dict(type=MViT)))
