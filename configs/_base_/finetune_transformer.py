"""How a published transformer is fine-tuned, by settings that are this project's own choice."""

from mmengine.config import read_base
from mmengine.optim import CosineAnnealingLR, LinearLR
from torch.optim import AdamW

from stal.engine.optim_wrapper import GuardedOptimWrapper

with read_base():
    from .finetune import *

optim_wrapper = dict(
    type=GuardedOptimWrapper,
    optimizer=dict(type=AdamW, lr=1e-4, weight_decay=0.05, fused=True),
    clip_grad=dict(max_norm=10.0),
)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.01, by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
    dict(type=CosineAnnealingLR, by_epoch=True, begin=1, end="max_epochs", convert_to_iter_based=True),
]
