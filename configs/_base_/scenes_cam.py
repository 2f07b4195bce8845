"""Scenes without a box: a clip classifier learns the labels of videos, and is tested by tubes around what it looks at.

Sizes and schedule are those of `scenes_small`, and so are the clips that are tested. In training nothing reads a box:
`WithoutActors` takes them out of the clips, and keyframes are drawn from all frames.
"""

from mmengine.config import read_base

from stal.data.transforms import TrainTransform, WithoutActors
from stal.engine.clip_model import ClipModel
from stal.engine.preprocessor import ClipPreprocessor
from stal.models.backbone import SlowFast
from stal.models.clip_classifier import ClipClassifier

with read_base():
    from .scenes_small import *

data.update(path="data/scenes_weak/annotations.json")
_clip = dict(num_frames_clip=8, stride=2, cache_bytes=2**30)

train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    dataset=dict(
        split="train",
        keyframes="any",
        clips_per_video=1,
        transform=dict(type=WithoutActors, transform=dict(type=TrainTransform, size=(48, 64), scale=(1.0, 1.15))),
        **_clip,
    ),
)
test_dataloader["dataset"].update(with_masks=False)

model = dict(
    type=ClipModel,
    data_preprocessor=dict(type=ClipPreprocessor, mixer=None),
    penalty=None,
    penalty_masks=None,
    maps="cam",
    threshold=0.5,
    detector=dict(
        type=ClipClassifier,
        backbone=dict(
            type=SlowFast,
            depth=18,
            width=8,
            channel_ratio=4,
            norm="group",
            stem_kernels=((1, 5, 5), (3, 5, 5)),
            fusion_kernel=3,
            spatial_strides=(1, 2, 1, 1),
            dilate_last=False,
        ),
        num_classes=9,
        dropout=0.1,
    ),
)
