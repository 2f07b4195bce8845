"""UCF101-24, split 1: SlowFast R50 8x8 at 224 pixels. data/README.md says where the files go.

It trains from scratch, and so with GroupNorm: weights of other projects are not read yet.
"""

from mmengine.optim import CosineAnnealingLR, LinearLR
from torch.optim import SGD

from stal.data.transforms import TestTransform, TrainTransform
from stal.data.ucf24 import read_ucf24
from stal.engine.model import DetectionModel
from stal.engine.optim_wrapper import GuardedOptimWrapper
from stal.engine.preprocessor import ClipPreprocessor
from stal.models.backbone import SlowFast
from stal.models.detector import TubeDetector

data = dict(
    type=read_ucf24,
    root="data/ucf24",
    fold=1,  # 2 and 3 need the lists of UCF101
    video_root=None,  # None: <root>/videos
    annotation_file=None,  # None: <root>/pyannot.pkl
    test_list=None,  # None: <root>/testlist01.txt
    split_lists=None,  # None: <root>/ucfTrainTestlist, for folds 2 and 3
    allow_missing=False,
)
_clip = dict(num_frames_clip=32, stride=1)
_size = (224, 304)  # height, width: a short side of 224 as in SlowFast's training, and a multiple of the stride of 16

train_dataloader = dict(
    batch_size=8,
    num_workers=8,
    dataset=dict(
        split="train",
        clips_per_video=4,
        balance="video",  # what comes equally often; or "tube", "class", or "sqrt" between these two
        max_bad_share=0.01,  # of the samples, which may be unreadable; they are named in <work_dir>/bad_samples.jsonl
        transform=dict(type=TrainTransform, size=_size),
        **_clip,
    ),
)
test_dataloader = dict(
    batch_size=8,
    num_workers=8,
    dataset=dict(split="test", step=16, transform=dict(type=TestTransform, size=_size), **_clip),
)

model = dict(
    type=DetectionModel,
    data_preprocessor=dict(type=ClipPreprocessor, mixer=None),
    penalty=None,
    detector=dict(type=TubeDetector, backbone=dict(type=SlowFast, depth=50, width=64, norm="group"), num_classes=24),
)

train_cfg = dict(by_epoch=True, max_epochs=12)
optim_wrapper = dict(
    type=GuardedOptimWrapper,
    optimizer=dict(type=SGD, lr=0.01, momentum=0.9, weight_decay=1e-4),
    clip_grad=dict(max_norm=10.0),
)
auto_scale_lr = dict(enable=False, base_batch_size=8)  # the batch that the learning rates are for
param_scheduler = [
    dict(type=LinearLR, start_factor=0.01, by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
    dict(type=CosineAnnealingLR, by_epoch=True, begin=1, end="max_epochs", convert_to_iter_based=True),
]
