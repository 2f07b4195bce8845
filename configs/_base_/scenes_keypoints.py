"""Small scenes as joints, which see no scene: what leads astray are the other people of a clip, who do something else.

python tools/make_scenes.py data/scenes_weak --videos 360 --correlation 0.8 --size 96x72 --mixed-actions 0.5 --keypoints

Persons are known by their annotated boxes; training knows which actions a video holds, and not who does them. Joints do
not tell what is in a hand: an action with an object looks like the one without, so that six of nine can be told.
"""

from mmengine.optim import OneCycleLR
from torch.optim import AdamW

from stal.data.formats.tubes_json import read_tubes_json
from stal.data.keypoint_clips import KeypointDataset
from stal.data.keypoint_transforms import KeypointAugment
from stal.engine.keypoint_model import KeypointModel
from stal.engine.keypoint_preprocessor import KeypointPreprocessor
from stal.engine.optim_wrapper import GuardedOptimWrapper
from stal.models.keypoint_pooling import KeypointPooling

data = dict(type=read_tubes_json, path="data/scenes_weak/annotations.json")
_clip = dict(type=KeypointDataset, num_frames_clip=12, stride=2, boxes="tubes")

train_dataloader = dict(
    batch_size=16,
    num_workers=0,
    dataset=dict(
        split="train",
        keyframes="any",
        clips_per_video=2,
        transform=dict(type=KeypointAugment, flip=0.5, jitter=0.01),
        **_clip,
    ),
)
test_dataloader = dict(batch_size=32, num_workers=0, dataset=dict(split="iid", step=12, **_clip))

model = dict(
    type=KeypointModel,
    data_preprocessor=dict(type=KeypointPreprocessor, mixer=None, max_persons=6),
    penalty=None,
    penalty_masks=None,
    detector=dict(
        type=KeypointPooling, num_classes=9, num_frames=12, channels=64, train_pool="clip", test_pool="person"
    ),
)

train_cfg = dict(by_epoch=True, max_epochs=20)
optim_wrapper = dict(
    type=GuardedOptimWrapper, optimizer=dict(type=AdamW, lr=3e-3, weight_decay=0.05), clip_grad=dict(max_norm=5.0)
)
auto_scale_lr = dict(enable=False, base_batch_size=16)  # the batch that the learning rates are for
param_scheduler = [
    dict(type=OneCycleLR, eta_max=3e-3, total_steps="max_epochs", convert_to_iter_based=True, pct_start=0.15)
]
