"""One small data set, written by hand in every annotation format: the tests of all readers share it.

Nothing here uses a writer of stal: the files are what other programs write.
"""

import csv
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from stal.data import jhmdb
from stal.data.formats import ucf24_annotations
from stal.data.formats.video_source import VideoSource
from stal.structures import Annotations, Tube, Video

HEIGHT, WIDTH = 240, 320


@dataclass
class Sample:
    """A data set in some format, and what its reader must give.

    Attributes:
        path: what the reader is given.
        expected: what it must return, but for the paths of videos.
        options: keyword arguments of the reader.
        write_options: keyword arguments of the writer, if there is one.
        tolerance: of box coordinates, in pixels.
        files: the files that hold the annotations.
    """

    path: Path
    expected: Annotations
    options: dict[str, Any] = field(default_factory=dict)
    write_options: dict[str, Any] = field(default_factory=dict)
    tolerance: float = 0.0
    files: tuple[Path, ...] = ()


def straight(start: int, stop: int, corner: tuple[int, int], size: tuple[int, int], step: int = 2) -> np.ndarray:
    """Boxes (T, 4) of an actor that moves right by `step` pixels a frame."""
    shift = step * np.arange(stop - start)[:, None] * [1, 0, 1, 0]
    return (np.array([*corner, corner[0] + size[0], corner[1] + size[1]]) + shift).astype(np.float32)


def data_set(classes: tuple[str, ...], *, second_split: str = "train") -> Annotations:
    """Two videos; the first has two actors of class Biking at the same time, the second one of class Diving."""

    def tube(id: int, name: str, start: int, stop: int, boxes: np.ndarray) -> Tube:
        return Tube(label=classes.index(name), frames=np.arange(start, stop), boxes=boxes, id=id)

    biking = Video(
        key="Biking/v_Biking_g01_c01",
        path=Path("Biking/v_Biking_g01_c01"),
        num_frames=12,
        height=HEIGHT,
        width=WIDTH,
        tubes=(
            tube(0, "Biking", 0, 12, straight(0, 12, (200, 30), (60, 100))),
            tube(1, "Biking", 2, 9, straight(2, 9, (10, 20), (40, 70))),
        ),
        split="train",
    )
    diving = Video(
        key="Diving/v_Diving_g02_c03",
        path=Path("Diving/v_Diving_g02_c03"),
        num_frames=9,
        height=HEIGHT,
        width=WIDTH,
        tubes=(tube(0, "Diving", 3, 9, straight(3, 9, (150, 100), (50, 60), -3)),),
        split=second_split,
    )
    return Annotations(classes, (biking, diving))


SOURCE = VideoSource(size=(HEIGHT, WIDTH))


def xywh(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def rows_of(annotations: Annotations) -> list[tuple[Video, Tube, int, list[float]]]:
    """Every box of a data set, with its video, tube and frame."""
    return [
        (video, tube, int(frame), [float(x) for x in box])
        for video in annotations.videos
        for tube in video.tubes
        for frame, box in zip(tube.frames, tube.boxes, strict=True)
    ]


def write_stal(folder: Path) -> Sample:
    expected = data_set(("Biking", "Diving"), second_split="test")
    document = {
        "format": "stal-tubes",
        "version": 1,
        "classes": list(expected.classes),
        "videos": [
            {
                "key": video.key,
                "path": f"{video.key}.avi",
                "num_frames": video.num_frames,
                "height": HEIGHT,
                "width": WIDTH,
                "split": video.split,
                "tubes": [
                    {
                        "id": tube.id,
                        "label": expected.classes[tube.label],
                        "frames": [[int(tube.frames[0]), int(tube.frames[-1]) + 1]],
                        "boxes": tube.boxes.tolist(),
                    }
                    for tube in video.tubes
                ],
            }
            for video in expected.videos
        ],
    }
    path = folder / "tubes.json"
    path.write_text(json.dumps(document))
    return Sample(path, expected, files=(path,))


def _ucf24_tubes(video: Video) -> list[dict[str, Any]]:
    return [
        {
            "label": tube.label,
            "sf": int(tube.frames[0]),
            "ef": int(tube.frames[-1]) + 1,
            "boxes": xywh(tube.boxes).astype(np.uint8 if xywh(tube.boxes).max() < 256 else np.uint16),
        }
        for tube in video.tubes
    ]


def write_ucf24_pickle(folder: Path) -> Sample:
    expected = data_set(ucf24_annotations.CLASSES, second_split="test")
    raw = {
        np.str_(video.key): {
            "numf": np.uint8(video.num_frames),
            "label": video.tubes[0].label,
            "annotations": _ucf24_tubes(video),
        }
        for video in expected.videos
    }
    path, test_list = folder / "pyannot.pkl", folder / "testlist01.txt"
    path.write_bytes(pickle.dumps(raw))
    test_list.write_bytes(b"Diving/v_Diving_g02_c03\r\n")
    return Sample(path, expected, files=(path, test_list))


def write_ucf24_mat(folder: Path) -> Sample:
    expected = data_set(ucf24_annotations.CLASSES, second_split="test")
    annot = np.zeros((1, 2), dtype=[("name", "O"), ("num_imgs", "O"), ("tubes", "O")])
    for position, video in enumerate(expected.videos):
        tubes = np.zeros((1, len(video.tubes)), dtype=[(name, "O") for name in ("ef", "sf", "class", "boxes")])
        for number, tube in enumerate(_ucf24_tubes(video)):
            tubes[0, number] = (tube["ef"], tube["sf"] + 1, tube["label"] + 1, tube["boxes"])
        annot[0, position] = (video.key, video.num_frames, tubes)
    path, test_list = folder / "finalAnnots.mat", folder / "testlist01.txt"
    savemat(path, {"annot": annot}, do_compression=True)
    test_list.write_bytes(b"Diving/v_Diving_g02_c03")
    return Sample(path, expected, files=(path, test_list))


def write_xgtf(folder: Path) -> Sample:
    expected = data_set(ucf24_annotations.CLASSES)
    paths = []
    for video in expected.videos:
        action = {"Biking": "biking", "Diving": "diving"}[video.key.split("/")[0]]
        objects = ""
        for tube in video.tubes:
            first, last = int(tube.frames[0]) + 1, int(tube.frames[-1]) + 1
            boxes = "".join(
                f'<data:bbox framespan="{frame + 1}:{frame + 1}" height="{h:.0f}" width="{w:.0f}" '
                f'x="{x:.0f}" y="{y:.0f}"/>'
                for frame, (x, y, w, h) in zip(tube.frames, xywh(tube.boxes), strict=True)
            )
            objects += (
                f'<object framespan="{first}:{last}" id="{tube.id}" name="PERSON">'
                f'<attribute name="Location">{boxes}</attribute>'
                f'<attribute name="{action}"><data:bvalue framespan="{first}:{last}" value="true"/></attribute>'
                f'<attribute name="walking"><data:bvalue framespan="{first}:{last}" value="false"/></attribute>'
                "</object>"
            )
        path = folder / "xgtf" / f"{video.key}.xgtf"
        path.parent.mkdir(parents=True)
        path.write_text(
            '<?xml version="1.0" encoding="UTF-8"?>\n<viper xmlns="http://lamp.cfar.umd.edu/viper#" '
            'xmlns:data="http://lamp.cfar.umd.edu/viperdata#"><config/><data><sourcefile filename="file:/x.mpg">'
            f'<file id="0" name="Information"><attribute name="NUMFRAMES"><data:dvalue value="{video.num_frames - 1}"/>'
            f"</attribute></file>{objects}</sourcefile></data></viper>"
        )
        paths.append(path)
    return Sample(folder / "xgtf", expected, {"source": SOURCE}, files=tuple(paths))


def write_yowo(folder: Path) -> Sample:
    expected = data_set(ucf24_annotations.CLASSES, second_split="test")
    lines: dict[Path, list[str]] = {}
    for video, tube, frame, box in rows_of(expected):
        path = folder / "ucf24" / "labels" / video.key / f"{frame + 1:05d}.txt"
        lines.setdefault(path, []).append(" ".join(f"{x:g}" for x in (tube.label + 1, *box)))
    for path, rows in lines.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(rows) + "\n")
    root = folder / "ucf24"
    for name, video in zip(("trainlist.txt", "testlist.txt"), expected.videos, strict=True):
        listed = sorted(path.relative_to(root) for path in lines if video.key in str(path))
        (root / name).write_text("".join(f"{path}\r\n" for path in listed))
    files = (root / "trainlist.txt", root / "testlist.txt", *sorted(lines))
    return Sample(root, expected, {"source": SOURCE}, files=files)


def write_act_pickle(folder: Path) -> Sample:
    expected = data_set(("Biking", "Diving"), second_split="test")
    inclusive = np.array([0, 0, 1, 1], np.float32)
    raw = {
        "labels": list(expected.classes),
        "gttubes": {
            video.key: {
                video.tubes[0].label: [
                    np.concatenate([tube.frames[:, None] + 1, tube.boxes - inclusive], axis=1).astype(np.float32)
                    for tube in video.tubes
                ]
            }
            for video in expected.videos
        },
        "nframes": {video.key: video.num_frames for video in expected.videos},
        "resolution": {video.key: (HEIGHT, WIDTH) for video in expected.videos},
        "train_videos": [[expected.videos[0].key]],
        "test_videos": [[expected.videos[1].key]],
    }
    path = folder / "UCF101v2-GT.pkl"
    path.write_bytes(pickle.dumps(raw, protocol=2))
    return Sample(path, expected, files=(path,))


def write_jhmdb(folder: Path) -> Sample:
    """The official archives alone: masks, whose bounding boxes are the boxes, and the lists of splits."""
    root, videos, files = folder / "jhmdb", [], []
    for name, label, num_frames, split in (("catch", 1, 5, "train"), ("wave", 20, 4, "test")):
        key = f"{name}/A_clip_(1)_@_{name}"
        boxes = straight(0, num_frames, (40 + label, 50), (30, 80))
        mask = np.zeros((HEIGHT, WIDTH, num_frames), np.uint8)
        for frame, (x1, y1, x2, y2) in enumerate(boxes.astype(int)):
            mask[y1:y2, x1:x2, frame] = 1
        path = root / "puppet_mask" / key / "puppet_mask.mat"
        path.parent.mkdir(parents=True)
        savemat(path, {"part_mask": mask}, do_compression=True)
        frames = root / "Rename_Images" / key
        frames.mkdir(parents=True)
        for frame in range(num_frames):
            cv2.imwrite(str(frames / f"{frame + 1:05d}.png"), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
        listed = root / "splits" / f"{name}_test_split1.txt"
        listed.parent.mkdir(exist_ok=True)
        listed.write_bytes(f"{Path(key).name}.avi {1 if split == 'train' else 2} \r\n".encode())
        tube = Tube(label=label, frames=np.arange(num_frames), boxes=boxes)
        videos.append(Video(key, frames, num_frames, HEIGHT, WIDTH, tubes=(tube,), split=split, masks_path=path))
        files += [path, listed]
    for name in jhmdb.CLASSES:
        (root / "splits" / f"{name}_test_split1.txt").touch()
    return Sample(root, Annotations(jhmdb.CLASSES, tuple(videos)), files=tuple(files))


def write_ava(folder: Path) -> Sample:
    expected = data_set(("Biking", "Diving"))
    path = folder / "train.csv"
    scale = np.array([WIDTH, HEIGHT, WIDTH, HEIGHT])
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        for video, tube, frame, box in rows_of(expected):
            corners = [f"{x:.8f}" for x in box / scale]
            writer.writerow([video.key, 900 + frame, *corners, tube.label + 1, tube.id])
    options = {"classes": expected.classes, "source": SOURCE, "fps": 1.0}
    return Sample(path, expected, options, {"fps": 1.0}, tolerance=1e-4, files=(path,))


def write_cvat(folder: Path) -> Sample:
    """CVAT names no video: its export is of one task, whose name or source is the key."""
    expected = data_set(("Biking", "Diving"))
    expected = Annotations(expected.classes, expected.videos[:1])
    (video,) = expected.videos
    tracks = ""
    for tube in video.tubes:
        boxes = "".join(
            f'<box frame="{frame}" outside="0" occluded="0" keyframe="1" xtl="{x1:.2f}" ytl="{y1:.2f}" '
            f'xbr="{x2:.2f}" ybr="{y2:.2f}" z_order="0"></box>'
            for frame, (x1, y1, x2, y2) in zip(tube.frames, tube.boxes, strict=True)
        )
        after = int(tube.frames[-1]) + 1
        if after < video.num_frames:
            boxes += f'<box frame="{after}" outside="1" keyframe="1" xtl="1" ytl="1" xbr="9" ybr="9" z_order="0"/>'
        tracks += f'<track id="{tube.id}" label="{expected.classes[tube.label]}" source="manual">{boxes}</track>'
    labels = "".join(f"<label><name>{name}</name><attributes/></label>" for name in expected.classes)
    path = folder / "annotations.xml"
    path.write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta><task><id>1</id>'
        f"<name>{video.key}</name><size>{video.num_frames}</size><mode>interpolation</mode><overlap>5</overlap>"
        f"<start_frame>0</start_frame><stop_frame>{video.num_frames - 1}</stop_frame><frame_filter></frame_filter>"
        f"<labels>{labels}</labels><original_size><width>{WIDTH}</width><height>{HEIGHT}</height></original_size>"
        f"<source>{video.key}.avi</source></task></meta>{tracks}</annotations>"
    )
    return Sample(path, expected, tolerance=0.01, files=(path,))


def write_via3(folder: Path) -> Sample:
    expected = data_set(("Biking", "Diving"))
    fps = 25.0
    files = {
        str(number): {"fid": str(number), "fname": f"{video.key}.avi", "type": 4, "loc": 1, "src": f"{video.key}.avi"}
        for number, video in enumerate(expected.videos, 1)
    }
    numbers = {video.key: str(number) for number, video in enumerate(expected.videos, 1)}
    metadata = {
        f"{numbers[video.key]}_{row:08d}": {
            "vid": numbers[video.key],
            "flg": 0,
            "z": [frame / fps],
            "xy": [2, *xywh(np.array([box]))[0].tolist()],
            "av": {"1": str(tube.label)},
        }
        for row, (video, tube, frame, box) in enumerate(rows_of(expected))
    }
    document = {
        "project": {"pid": "__VIA_PROJECT_ID__", "vid_list": list(files)},
        "config": {},
        "attribute": {
            "1": {
                "aname": "action",
                "anchor_id": "FILE1_Z1_XY1",
                "type": 4,
                "desc": "",
                "options": {str(label): name for label, name in enumerate(expected.classes)},
                "default_option_id": "",
            }
        },
        "file": files,
        "metadata": metadata,
        "view": {number: {"fid_list": [number]} for number in files},
    }
    path = folder / "via.json"
    path.write_text(json.dumps(document))
    source = VideoSource(size=(HEIGHT, WIDTH), fps=fps)
    return Sample(path, expected, {"source": source}, tolerance=1e-4, files=(path,))


def write_coco_video(folder: Path) -> Sample:
    expected = data_set(("Biking", "Diving"))
    images, annotations = [], []
    for number, video in enumerate(expected.videos, 1):
        for frame in range(video.num_frames):
            images.append(
                {
                    "id": len(images) + 1,
                    "video_id": number,
                    "frame_index": frame,
                    "width": WIDTH,
                    "height": HEIGHT,
                    "file_name": f"{video.key}/{frame + 1:06d}.jpg",
                }
            )
        for tube in video.tubes:
            for frame, box in zip(tube.frames, xywh(tube.boxes), strict=True):
                image = next(i["id"] for i in images if (i["video_id"], i["frame_index"]) == (number, frame))
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": image,
                        "video_id": number,
                        "track_id": 10 * number + tube.id,
                        "category_id": [3, 7][tube.label],
                        "bbox": box.tolist(),
                        "area": float(box[2] * box[3]),
                        "iscrowd": 0,
                    }
                )
    document = {
        "videos": [
            {"id": number, "name": video.key, "width": WIDTH, "height": HEIGHT}
            for number, video in enumerate(expected.videos, 1)
        ],
        "categories": [{"id": 7, "name": "Diving"}, {"id": 3, "name": "Biking"}],
        "tracks": [],
        "images": images,
        "annotations": annotations,
    }
    path = folder / "coco.json"
    path.write_text(json.dumps(document))
    return Sample(path, expected, files=(path,))


def write_yolo(folder: Path) -> Sample:
    expected = data_set(("Biking", "Diving"))
    lines: dict[Path, list[str]] = {}
    for video, tube, frame, (x1, y1, x2, y2) in rows_of(expected):
        path = folder / "yolo" / video.key / f"{frame:06d}.txt"
        values = ((x1 + x2) / 2 / WIDTH, (y1 + y2) / 2 / HEIGHT, (x2 - x1) / WIDTH, (y2 - y1) / HEIGHT)
        lines.setdefault(path, []).append(" ".join([str(tube.label), *(f"{value:.7f}" for value in values)]))
    for path, rows in lines.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(rows))
    options = {"classes": expected.classes, "source": SOURCE}
    return Sample(folder / "yolo", expected, options, tolerance=1e-3, files=tuple(sorted(lines)))


WRITERS: dict[str, Callable[[Path], Sample]] = {
    "stal": write_stal,
    "ucf24-pickle": write_ucf24_pickle,
    "ucf24-mat": write_ucf24_mat,
    "xgtf": write_xgtf,
    "yowo": write_yowo,
    "act-pickle": write_act_pickle,
    "jhmdb": write_jhmdb,
    "ava": write_ava,
    "cvat": write_cvat,
    "via3": write_via3,
    "coco-video": write_coco_video,
    "yolo": write_yolo,
}


@pytest.fixture
def write_sample(tmp_path: Path) -> Callable[[str], Sample]:
    """Write the data set in the format of a name into an empty folder."""

    def write(name: str) -> Sample:
        folder = tmp_path / name
        folder.mkdir()
        return WRITERS[name](folder)

    return write


@pytest.fixture
def sample_names() -> tuple[str, ...]:
    """The formats in which `write_sample` writes."""
    return tuple(WRITERS)
