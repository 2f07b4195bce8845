"""UCF101-24, BatchMix and the gradient penalty (Nagano et al. 2026, arXiv 2604.02946).

The paper's UCF101-24 row (AP@0.5 37.4 baseline, 38.0 BatchMix, 39.7 BatchMix + PGG) is weakly supervised and on
skeletons; this is this project's adaptation to pixels with box supervision, so the numbers do not compare.

python tools/train.py configs/ucf24_batchmix_pgg.py
Result: not yet measured.
"""

from mmengine.config import read_base

from stal.losses.gradient_penalty import GradientPenalty
from stal.mixing.batch_mix import BatchMix

with read_base():
    from ._base_.runtime import *
    from ._base_.ucf24 import *

model.update(
    data_preprocessor=dict(mixer=dict(type=BatchMix, probability=0.5, mask="box")),
    penalty=dict(type=GradientPenalty, weight=1e-4),
)
