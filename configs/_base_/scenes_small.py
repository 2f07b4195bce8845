"""Scenes again, for trainings of a minute: small clips and network; actors are known, only actions are told apart.

Proposals are the annotated boxes on the keyframe (`proposals="ground_truth"`), in training and in testing: what is left
to measure is whether an action is recognised by its actor or by its scene.
"""

from mmengine.optim import OneCycleLR
from torch.optim import AdamW

from stal.data.formats.tubes_json import read_tubes_json
from stal.data.transforms import TestTransform, TrainTransform
from stal.engine.model import DetectionModel
from stal.engine.optim_wrapper import GuardedOptimWrapper
from stal.engine.preprocessor import ClipPreprocessor
from stal.models.backbone import SlowFast
from stal.models.detector import TubeDetector

data = dict(type=read_tubes_json, path="data/scenes_small/annotations.json")
_clip = dict(num_frames_clip=8, stride=2, with_masks=True, cache_bytes=2**30)
_size = (48, 64)  # height, width: two thirds of the video's

train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    dataset=dict(
        split="train", clips_per_video=1, transform=dict(type=TrainTransform, size=_size, scale=(1.0, 1.15)), **_clip
    ),
)
test_dataloader = dict(
    batch_size=16,
    num_workers=0,
    dataset=dict(split="iid", step=12, transform=dict(type=TestTransform, size=_size), **_clip),
)

model = dict(
    type=DetectionModel,
    data_preprocessor=dict(type=ClipPreprocessor, mixer=None),
    penalty=None,
    penalty_masks=None,
    proposals="ground_truth",
    detector=dict(
        type=TubeDetector,
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
        proposals=dict(channels=16, anchor_sizes=(16, 24, 32), aspect_ratios=(1.0, 2.0, 3.0), num_train=8, num_test=8),
        regressor=dict(channels=16, bins=3, num_steps=1),
        classifier=dict(bins=3, dropout=0.1),
        num_samples=2,
        box_weight=0.25,
    ),
)

train_cfg = dict(by_epoch=True, max_epochs=10)
optim_wrapper = dict(
    type=GuardedOptimWrapper, optimizer=dict(type=AdamW, lr=4e-3, weight_decay=0.05), clip_grad=dict(max_norm=5.0)
)
auto_scale_lr = dict(enable=False, base_batch_size=8)  # the batch that the learning rates are for
param_scheduler = [
    dict(type=OneCycleLR, eta_max=4e-3, total_steps="max_epochs", convert_to_iter_based=True, pct_start=0.15)
]
