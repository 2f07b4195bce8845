"""Video Swin-T of torchvision, of 32 frames, with ImageNet's normalisation."""

from mmengine.config import read_base

from stal.models.backbone import Swin3d

with read_base():
    from .finetune_transformer import *

backbone_weights = "weights/swin3d_t.pth"
model.update(
    detector=dict(backbone=dict(type=Swin3d)),
    data_preprocessor=dict(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375)),
)
