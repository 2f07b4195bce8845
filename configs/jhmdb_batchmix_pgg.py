"""JHMDB-21, BatchMix with silhouettes and the gradient penalty (Nagano et al. 2026, arXiv 2604.02946).

For each of the three folds, of which data/README.md says how their tests become one result:

python tools/train.py configs/jhmdb_batchmix_pgg.py --work-dir work_dirs/jhmdb_1 --cfg-options data.fold=1
Result: not yet measured.
"""

from mmengine.config import read_base

from stal.losses.gradient_penalty import GradientPenalty
from stal.mixing.batch_mix import BatchMix

with read_base():
    from ._base_.jhmdb import *
    from ._base_.runtime import *

model.update(
    data_preprocessor=dict(mixer=dict(type=BatchMix, probability=0.5, mask="silhouette")),
    penalty=dict(type=GradientPenalty, weight=1e-4),
)
