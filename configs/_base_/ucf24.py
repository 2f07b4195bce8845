"""UCF101-24, split 1, in clips of 32 frames at 224 pixels. data/README.md says where the files go."""

from stal.data.transforms import TestTransform, TrainTransform
from stal.data.ucf24 import read_ucf24

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
