"""COCO's JSON for videos, as TAO and CocoVID have it."""

import copy
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from stal.data.formats.coco_video_json import read_coco_video_json
from stal.data.formats.video_source import VideoSource
from stal.errors import AnnotationError, VideoReadError


def tao() -> dict[str, Any]:
    """Two videos, the first with tracks 7 and 3 of the categories 9 and 4, annotated on the frames 0, 30 and 60."""
    images = [
        {"id": 10 + i, "video_id": 5, "frame_index": 30 * i, "width": 64, "height": 48, "file_name": f"{i}.jpg"}
        for i in range(3)
    ]
    rows = [(10, 7, 9), (11, 7, 9), (12, 7, 4), (10, 3, 4)]
    return {
        "videos": [
            {"id": 5, "name": "train/a.mp4", "width": 64, "height": 48},
            {"id": 2, "name": "b", "width": 8, "height": 6},
        ],
        "images": images,
        "tracks": [{"id": 7, "category_id": 9, "video_id": 5}],
        "categories": [{"id": 9, "name": "walk", "synset": "x"}, {"id": 4, "name": "jump"}],
        "annotations": [
            {
                "id": i,
                "image_id": image,
                "track_id": track,
                "category_id": category,
                "bbox": [1.5, 2, 10, 20.25],
                "area": 1,
            }
            for i, (image, track, category) in enumerate(rows)
        ],
    }


def save(folder: Path, value: Any) -> Path:
    path = folder / "coco.json"
    path.write_text(json.dumps(value))
    return path


def test_a_tube_for_every_track_and_class(tmp_path: Path) -> None:
    annotations = read_coco_video_json(save(tmp_path, tao()), split="val", source=VideoSource(fps=30.0))
    assert annotations.classes == ("jump", "walk")  # in the order of the ids
    first, second = annotations.videos
    assert (first.key, first.path, first.num_frames, first.split) == ("train/a", Path("train/a.mp4"), 61, "val")
    assert (first.height, first.width, first.fps) == (48, 64, 30)
    assert [(tube.id, tube.label, tube.frames.tolist()) for tube in first.tubes] == [
        (0, 0, [0]),
        (1, 0, [60]),
        (2, 1, [0, 30]),
    ]
    np.testing.assert_array_equal(first.tubes[0].boxes, np.float32([[1.5, 2, 11.5, 22.25]]))
    assert (second.key, second.tubes, second.height, second.width) == ("b", (), 6, 8)


def test_cocovid_names_some_things_otherwise(tmp_path: Path) -> None:
    text = json.dumps(tao()).replace("frame_index", "frame_id").replace("track_id", "instance_id")
    value = json.loads(text)
    for video in value["videos"]:
        del video["width"], video["height"]
    value["images"].append({"id": 99, "video_id": 2, "frame_id": 3, "width": 8, "height": 6})
    (tmp_path / "coco.json").write_text(json.dumps(value))
    first, second = read_coco_video_json(tmp_path / "coco.json").videos
    assert ([len(tube) for tube in first.tubes], first.width) == ([1, 1, 2], 64)
    assert (second.num_frames, second.width) == (4, 8)


def test_frames_may_be_numbered_from_1(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    value = tao()
    for image in value["images"]:
        image["frame_index"] += 1
    path = save(tmp_path, value)
    assert read_coco_video_json(path, first_frame=1).videos[0].tubes[2].frames.tolist() == [0, 30]
    assert not caplog.text
    assert read_coco_video_json(path).videos[0].tubes[2].frames.tolist() == [0, 30]
    assert "numbered from 1 on" in caplog.text
    assert read_coco_video_json(path, first_frame=0).videos[0].tubes[2].frames.tolist() == [1, 31]
    value["images"][1]["frame_index"] = 0
    with pytest.raises(AnnotationError, match=r"images\[1\]: the number of its frame is 0, but that of the first"):
        read_coco_video_json(save(tmp_path, value), first_frame=1)
    assert read_coco_video_json(save(tmp_path, value)).videos[0].tubes[2].frames.tolist() == [0, 1]


def test_numbers_that_may_count_from_0_or_1_are_refused(tmp_path: Path) -> None:
    value = tao()
    value["images"].append({"id": 99, "video_id": 2, "frame_index": 1})
    for image in value["images"][:3]:
        image["frame_index"] += 2
    path = save(tmp_path, value)
    with pytest.raises(
        AnnotationError, match=r"no video has a frame 0, and video train/a\.mp4 starts with 2, .*--first"
    ):
        read_coco_video_json(path)
    assert read_coco_video_json(path, first_frame=0).videos[0].num_frames == 63


def test_the_largest_number_must_fit_the_video(tmp_path: Path) -> None:
    (tmp_path / "videos/train/a").mkdir(parents=True)
    (tmp_path / "videos/b").mkdir()
    for name, num_frames, shape in (("train/a", 61, (48, 64, 3)), ("b", 2, (6, 8, 3))):
        for number in range(num_frames):
            cv2.imwrite(str(tmp_path / f"videos/{name}/{number}.png"), np.zeros(shape, np.uint8))
    value, source = tao(), VideoSource(root=tmp_path / "videos")
    for video in value["videos"]:
        video["name"] = video["name"].removesuffix(".mp4")
    assert read_coco_video_json(save(tmp_path, value), source=source).videos[0].num_frames == 61
    value["images"][2]["frame_index"] = 63
    with pytest.raises(VideoReadError, match=r"coco\.json: video train/a: .*61 frames decode, but 64 are annotated"):
        read_coco_video_json(save(tmp_path, value), source=source)


def test_boxes_that_say_nothing_are_dropped_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    value = tao()
    value["annotations"] += [value["annotations"][0], value["annotations"][1] | {"bbox": [1, 2, 0, 3]}]
    found = read_coco_video_json(save(tmp_path, value)).videos[0]
    expected = read_coco_video_json(save(tmp_path, tao())).videos[0]
    assert [tube.frames.tolist() for tube in found.tubes] == [tube.frames.tolist() for tube in expected.tubes]
    assert "dropped boxes: 1 that are there before, 1 without area" in caplog.text


def test_youtube_vis_is_named(tmp_path: Path) -> None:
    video = {"id": 1, "width": 8, "height": 6, "length": 1, "file_names": ["a/00000.jpg"]}
    value = {"videos": [video], "categories": [], "annotations": [{"id": 1, "video_id": 1, "segmentations": [None]}]}
    with pytest.raises(AnnotationError, match=r"coco\.json: .*this is YouTube-VIS"):
        read_coco_video_json(save(tmp_path, value))


def test_without_tracks_boxes_are_joined(tmp_path: Path) -> None:
    value = tao()
    for image, frame in zip(value["images"], (4, 5, 6), strict=True):
        image["frame_index"] = frame
    for annotation in value["annotations"]:
        del annotation["track_id"]
        annotation["category_id"] = 4
    del value["annotations"][3]
    (tube,) = read_coco_video_json(save(tmp_path, value), first_frame=0).videos[0].tubes
    assert tube.frames.tolist() == [4, 5, 6]
    value["annotations"][0]["track_id"] = 1
    with pytest.raises(AnnotationError, match=r"annotations: 2 of 3 have no track_id"):
        read_coco_video_json(save(tmp_path, value), first_frame=0)


def test_crowds_are_dropped_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    value = tao()
    value["annotations"][3]["iscrowd"] = 1
    assert len(read_coco_video_json(save(tmp_path, value)).videos[0].tubes) == 2
    assert "dropped 1 boxes around crowds" in caplog.text


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ((), None, "the document: expected an object"),
        (("videos",), {}, "videos: expected a list"),
        (("videos", 0, "id"), 2, r"videos\[1\]\.id: the id 2 is there twice, first at videos\[0\]"),
        (("videos", 0, "width"), 63, r"images\[0\]: its size \(48, 64\).* is not that of its video, \(48, 63\)"),
        (("videos", 0, "width"), 0, r"images\[0\]: its size"),
        (("videos", 1, "width"), -8, "video b: 1 frames of 6 x -8"),
        (("videos", 1, "name"), "train/a.avi", "video train/a is annotated twice"),
        (("images", 1, "video_id"), 6, r"images\[1\]\.video_id: there is no video 6"),
        (("images", 1, "frame_index"), -1, r"images\[1\]\.frame_index: got -1"),
        (("images", 1, "frame_index"), 10**400, r"images\[1\]\.frame_index: expected an integer"),
        (("images", 1, "id"), 1.0, r"images\[1\]\.id: expected an integer, got 1\.0"),
        (("images", 1), [], r"images\[1\]: expected an object"),
        (("categories", 0, "name"), "jump", "categories: names are not unique"),
        (("categories", 0, "id"), None, r"categories\[0\]\.id: expected an integer"),
        (("annotations", 2, "image_id"), 1, r"annotations\[2\]\.image_id: there is no image 1"),
        (("annotations", 2, "category_id"), 1, r"annotations\[2\]\.category_id: there is no category 1"),
        (("annotations", 2, "track_id"), "7", r"annotations\[2\]\.track_id: expected an integer, got '7'"),
        (("annotations", 2, "bbox"), [1, 2, 3], r"annotations\[2\]\.bbox: got \[1, 2, 3\]; expected four"),
        (("annotations", 2, "bbox"), [1, 2, -1, 3], r"annotations\[2\]\.bbox: .*not below 0"),
        (("images", 1, "frame_index"), 0, r"images\[1\]: is frame 0 of video train/a.mp4, and so is the image 10"),
        (("annotations", 2, "bbox"), [1, 2, float("nan"), 3], r"annotations\[2\]\.bbox: .*finite"),
        (("annotations", 2, "bbox"), [1, 2, 1e308, 3], r"annotations\[2\]\.bbox: .*finite"),
        (("annotations", 2, "bbox"), [3e38, 2, 3e38, 3], r"video train/a.mp4: a box is \[3e\+38, .*pixels of a video"),
        (("annotations", 2, "bbox"), [1e20, 2, 1, 3], "video train/a.mp4: a box is .*pixels of a video"),
    ],
)
def test_a_wrong_shape_is_refused_and_its_place_is_named(
    tmp_path: Path, place: tuple[Any, ...], value: Any, message: str
) -> None:
    document: dict[str, Any] = {"root": copy.deepcopy(tao())}
    node, last = document, "root"
    for key in place:
        node, last = node[last], key
    node[last] = value
    with pytest.raises(AnnotationError, match=rf"coco\.json: .*{message}"):
        read_coco_video_json(save(tmp_path, document["root"]))


def test_two_boxes_of_an_actor_on_a_frame_are_refused(tmp_path: Path) -> None:
    value = tao()
    value["annotations"][1] |= {"image_id": 10, "bbox": [1, 2, 10, 20]}
    with pytest.raises(AnnotationError, match=r"video train/a\.mp4: actor 7 has two boxes of class 1"):
        read_coco_video_json(save(tmp_path, value))


def test_sizes_may_come_from_the_source(tmp_path: Path) -> None:
    value = tao()
    for node in (*value["videos"], *value["images"]):
        del node["width"], node["height"]
    path = save(tmp_path, value)
    with pytest.raises(AnnotationError, match=r"coco\.json: .*size of video train/a\.mp4"):
        read_coco_video_json(path)
    assert read_coco_video_json(path, source=VideoSource(size=(4, 5))).videos[1].width == 5
