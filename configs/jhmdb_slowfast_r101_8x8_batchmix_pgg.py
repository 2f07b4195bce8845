"""JHMDB-21, SlowFast R101 8x8, BatchMix with silhouettes and the gradient penalty.

python tools/train.py configs/jhmdb_slowfast_r101_8x8_batchmix_pgg.py --cfg-options data.fold=1
Give each of the three folds a --work-dir of its own; data/README.md says how their tests become one result.
Weights: weights/slowfast_r101_8x8.pth, which tools/convert_weights.py makes of published ones (docs/weights.md).
Recipe: PySlowFast's for AVA; `_base_/finetune.py` says what is taken from where, and what is not.
Result: not yet measured.
"""

from mmengine.config import read_base

from stal.losses.gradient_penalty import GradientPenalty
from stal.mixing.batch_mix import BatchMix

with read_base():
    from ._base_.jhmdb import *
    from ._base_.runtime import *
    from ._base_.slowfast_r101_8x8 import *

train_dataloader["dataset"].update(with_masks=True)
model.update(
    detector=dict(num_classes=21),
    data_preprocessor=dict(mixer=dict(type=BatchMix, probability=0.5, mask="silhouette")),
    penalty=dict(type=GradientPenalty, weight=1e-4),
)
