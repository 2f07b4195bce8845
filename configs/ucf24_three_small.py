"""Three classes of UCF101-24 with the network of the small scenes: what shows of the method on few real videos.

A check on reality, and no benchmark: of Biking, CliffDiving and Skiing those videos are taken that are there. Actors
are known, as in `_base_/scenes_small.py`.

python tools/experiment.py experiments/ucf24_three.yaml --jobs 2
"""

from mmengine.config import read_base

with read_base():
    from ._base_.runtime import *
    from ._base_.scenes_small import *
    from ._base_.ucf24 import data

data.update(classes=["Biking", "CliffDiving", "Skiing"], allow_missing=True)
train_dataloader["dataset"].update(clips_per_video=4, with_masks=False, cache_bytes=0)
test_dataloader["dataset"].update(split="test", step=16, with_masks=False, cache_bytes=0)
model["detector"].update(num_classes=3)
