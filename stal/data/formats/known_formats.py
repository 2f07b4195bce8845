"""The table of annotation formats: what each is called, and the functions that read and write it."""

from collections.abc import Callable
from dataclasses import dataclass

from stal.data.formats.act_pickle import read_act_pickle, write_act_pickle
from stal.data.formats.ava_csv import read_ava_csv, write_ava_csv
from stal.data.formats.coco_video_json import read_coco_video_json
from stal.data.formats.cvat_xml import read_cvat_xml, write_cvat_xml
from stal.data.formats.tubes_json import read_tubes_json, write_tubes_json
from stal.data.formats.ucf24_mat import read_final_annots
from stal.data.formats.ucf24_pickle import read_pyannot
from stal.data.formats.via3_json import read_via3_json
from stal.data.formats.xgtf import read_xgtf
from stal.data.formats.yolo_txt import read_yolo_txt
from stal.data.formats.yowo_labels import read_yowo_labels
from stal.data.jhmdb import read_jhmdb
from stal.structures import Annotations


@dataclass(frozen=True)
class Format:
    """An annotation format.

    Attributes:
        what: a line that says what it is.
        read: takes the path of a file or folder, and keyword arguments of its own.
        write: takes annotations and a path, and keyword arguments of its own; None if the format is only read.
        names_videos: whether what is read says where the videos are.
        has_splits: whether what is read says the splits of its videos; `split` then chooses one.
    """

    what: str
    read: Callable[..., Annotations]
    write: Callable[..., None] | None = None
    names_videos: bool = False
    has_splits: bool = False


FORMATS = {
    "stal": Format("this project's JSON", read_tubes_json, write_tubes_json, names_videos=True, has_splits=True),
    "ucf24-pickle": Format("UCF101-24: pyannot.pkl or pyannot_with_class_names.pkl", read_pyannot, has_splits=True),
    "ucf24-mat": Format("UCF101-24: finalAnnots.mat", read_final_annots, has_splits=True),
    "xgtf": Format("UCF101-24: THUMOS' xgtf files, one or a folder of them", read_xgtf),
    "yowo": Format("YOWO: a folder of labels/<Class>/<video>/00001.txt", read_yowo_labels),
    "act-pickle": Format(
        "ACT, MOC, MultiSports: JHMDB-GT.pkl and its like", read_act_pickle, write_act_pickle, has_splits=True
    ),
    "jhmdb": Format("JHMDB-21: the folder of its archives", read_jhmdb, names_videos=True, has_splits=True),
    "ava": Format("AVA: csv of keyframes, with its label map", read_ava_csv, write_ava_csv),
    "cvat": Format("CVAT for video 1.1: an XML file, or a folder of them", read_cvat_xml, write_cvat_xml),
    "via3": Format("VIA 3: JSON of a project of the video annotator", read_via3_json),
    "coco-video": Format("COCO for videos: JSON as of TAO and CocoVID", read_coco_video_json),
    "yolo": Format("YOLO: a folder of text files, one for every frame", read_yolo_txt),
}
"""By name."""
