"""UCF101-24, MViTv2-S, BatchMix and the gradient penalty.

python tools/train.py configs/ucf24_mvit_v2_s_batchmix_pgg.py
Weights: weights/mvit_v2_s.pth, which tools/convert_weights.py makes of published ones (docs/weights.md).
Recipe: this project's own, `_base_/finetune_transformer.py`.
Result: not yet measured.
"""

from mmengine.config import read_base

from stal.losses.gradient_penalty import GradientPenalty
from stal.mixing.batch_mix import BatchMix

with read_base():
    from ._base_.mvit_v2_s import *
    from ._base_.runtime import *
    from ._base_.ucf24 import *

train_dataloader["dataset"].update(num_frames_clip=16, stride=2)
test_dataloader["dataset"].update(num_frames_clip=16, stride=2)
model.update(
    detector=dict(num_classes=24),
    data_preprocessor=dict(mixer=dict(type=BatchMix, probability=0.5, mask="box")),
    penalty=dict(type=GradientPenalty, weight=1e-4),
)
