"""JHMDB-21, BatchMix with silhouettes and the gradient penalty, of SlowFast R50 8x8.

For each of the three folds, of which data/README.md says how their tests become one result:

python tools/train.py configs/jhmdb_batchmix_pgg.py --work-dir work_dirs/jhmdb_1 --cfg-options data.fold=1
Result: not yet measured.
"""

from mmengine.config import read_base

with read_base():
    from .jhmdb_slowfast_r50_8x8_batchmix_pgg import *
