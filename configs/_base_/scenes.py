"""The generated data set, and a detector that trains on it from scratch on two CPU cores."""

from mmengine.optim import OneCycleLR
from torch.optim import AdamW

from stal.data.formats.tubes_json import read_tubes_json
from stal.data.transforms import TestTransform, TrainTransform
from stal.engine.model import DetectionModel
from stal.engine.optim_wrapper import GuardedOptimWrapper
from stal.engine.preprocessor import ClipPreprocessor
from stal.models.backbone import SlowFast
from stal.models.detector import TubeDetector

data = dict(type=read_tubes_json, path="data/scenes/annotations.json")
_clip = dict(num_frames_clip=16, stride=1)
_size = (72, 96)  # height, width: 0.6 times the video's

train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    dataset=dict(
        split="train",
        clips_per_video=1,
        cache_bytes=2**30,
        transform=dict(type=TrainTransform, size=_size, scale=(0.9, 1.2)),
        **_clip,
    ),
)
test_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(split="iid", step=8, transform=dict(type=TestTransform, size=_size), **_clip),
)

model = dict(
    type=DetectionModel,
    data_preprocessor=dict(type=ClipPreprocessor, mixer=None),
    penalty=None,
    detector=dict(
        type=TubeDetector,
        backbone=dict(
            type=SlowFast,
            depth=18,
            width=16,
            channel_ratio=4,
            norm="group",
            stem_kernels=((1, 5, 5), (3, 5, 5)),
            fusion_kernel=5,
            spatial_strides=(1, 2, 1, 1),
        ),
        num_classes=9,
        proposals=dict(
            channels=64, anchor_sizes=(24, 36, 48), aspect_ratios=(1.0, 2.0, 3.0), num_train=32, num_test=16
        ),
        regressor=dict(channels=64, bins=7),
        classifier=dict(bins=5, dropout=0.1),
        num_samples=12,
    ),
)

train_cfg = dict(by_epoch=True, max_epochs=12)
optim_wrapper = dict(
    type=GuardedOptimWrapper, optimizer=dict(type=AdamW, lr=1e-3, weight_decay=0.05), clip_grad=dict(max_norm=5.0)
)
auto_scale_lr = dict(enable=False, base_batch_size=4)  # the batch that the learning rates are for
param_scheduler = [
    dict(type=OneCycleLR, eta_max=2e-3, total_steps="max_epochs", convert_to_iter_based=True, pct_start=0.15)
]
