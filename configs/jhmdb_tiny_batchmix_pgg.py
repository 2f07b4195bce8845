"""JHMDB-21 at 96 x 128 pixels with the small network of the scenes, BatchMix with silhouettes and the gradient penalty.

For a CPU; `--cfg-options data.fold=2` takes another of the three folds.

python tools/train.py configs/jhmdb_tiny_batchmix_pgg.py
Result: not yet measured.
"""

from mmengine.config import read_base

from stal.data.jhmdb import read_jhmdb
from stal.losses.gradient_penalty import GradientPenalty
from stal.mixing.batch_mix import BatchMix

with read_base():
    from ._base_.runtime import *
    from ._base_.scenes import *

data = dict(type=read_jhmdb, root="data/jhmdb", fold=1)
_size = (96, 128)
train_dataloader["dataset"].update(cache_bytes=0, with_masks=True, transform=dict(size=_size))
test_dataloader["dataset"].update(split="test", transform=dict(size=_size))
model.update(
    detector=dict(num_classes=21),
    data_preprocessor=dict(mixer=dict(type=BatchMix, probability=0.5, mask="silhouette")),
    penalty=dict(type=GradientPenalty, weight=1e-4, interval=8),
)
