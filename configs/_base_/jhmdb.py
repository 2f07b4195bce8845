"""JHMDB-21, in the clips of UCF101-24. data/README.md says where the files go.

`--cfg-options data.fold=2` chooses another of the three divisions into train and test; JHMDB-21 is reported as the mean
over them.
"""

from mmengine.config import read_base

from stal.data.jhmdb import read_jhmdb

with read_base():
    from .ucf24 import *

data = dict(
    type=read_jhmdb,
    root="data/jhmdb",
    fold=1,
    video_root=None,  # None: <root>/Rename_Images, ReCompress_Videos or Frames
    annotation_file=None,  # None: <root>/JHMDB-GT.pkl, or made of <root>/splits and the silhouettes
    mask_root=None,  # None: <root>/puppet_mask or mask
    allow_missing=False,
)
