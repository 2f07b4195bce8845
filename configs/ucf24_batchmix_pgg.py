"""UCF101-24, BatchMix and the gradient penalty (Nagano et al. 2026, arXiv 2604.02946), of SlowFast R50 8x8.

The paper's UCF101-24 row (AP@0.5 37.4 baseline, 38.0 BatchMix, 39.7 BatchMix + PGG) is weakly supervised and on
skeletons; this is this project's adaptation to pixels with box supervision, so the numbers do not compare.

python tools/train.py configs/ucf24_batchmix_pgg.py
Result: not yet measured.
"""

from mmengine.config import read_base

with read_base():
    from .ucf24_slowfast_r50_8x8_batchmix_pgg import *
