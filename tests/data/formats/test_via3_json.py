"""Projects of VIA 3: boxes on points in time become tubes, by overlap or by an attribute."""

import copy
import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from stal.data.formats.via3_json import read_via3_json
from stal.data.formats.video_source import VideoSource
from stal.errors import AnnotationError, ConfigError, DataNotFoundError

SOURCE = VideoSource(size=(100, 200), fps=25.0)


def box(seconds: float, x: float, av: dict[str, str], **changes: Any) -> dict[str, Any]:
    return {"vid": "1", "flg": 0, "z": [seconds], "xy": [2, x, 10, 30, 40], "av": av} | changes


def attribute(
    name: str, kind: int, options: dict[str, str] | None = None, anchor: str = "FILE1_Z1_XY1"
) -> dict[str, Any]:
    return {"aname": name, "anchor_id": anchor, "type": kind, "options": options or {}, "default_option_id": ""}


def project(*boxes: dict[str, Any], **attributes: dict[str, Any]) -> dict[str, Any]:
    return {
        "project": {"pid": "__VIA_PROJECT_ID__", "vid_list": ["1", "2"]},
        "config": {},
        "attribute": attributes
        or {
            "1": attribute("action", 4, {"0": "walk", "1": "jump"}),
            "2": attribute("caption", 1, anchor="FILE1_Z0_XY0"),
        },
        "file": {
            "1": {"fid": "1", "fname": "a.mp4", "type": 4, "loc": 1, "src": ""},
            "2": {"fid": "2", "fname": "folder", "type": 4, "loc": 1, "src": ""},
        },
        "metadata": {f"1_{number}": value for number, value in enumerate(boxes)},
        "view": {"1": {"fid_list": ["1"]}, "2": {"fid_list": [2]}},
    }


def save(folder: Path, value: Any) -> Path:
    path = folder / "via.json"
    path.write_text(json.dumps(value))
    return path


def test_boxes_are_joined_to_tubes(tmp_path: Path) -> None:
    boxes = (box(0.04, 12, {"1": "0"}), box(0, 10, {"1": "0"}), box(0.08, 99, {"1": "0"}), box(0.12, 99.5, {"1": "1"}))
    annotations = read_via3_json(save(tmp_path, project(*boxes)), source=SOURCE, split="val")
    assert annotations.classes == ("walk", "jump")
    first, second = annotations.videos
    assert (first.key, first.path, first.num_frames, first.fps, first.split) == ("a", Path("a.mp4"), 4, 25.0, "val")
    assert (first.height, first.width) == (100, 200)
    assert [(tube.label, tube.frames.tolist()) for tube in first.tubes] == [(0, [0, 1]), (0, [2]), (1, [3])]
    np.testing.assert_array_equal(first.tubes[0].boxes[1], np.float32([12, 10, 42, 50]))
    assert (second.key, second.tubes) == ("folder", ())


@pytest.mark.parametrize("fps", [10.0, 23.976, 25.0, 29.97, 30.0, 50.0, 60.0])
@pytest.mark.parametrize("digits", [3, 5])
def test_a_rounded_time_is_the_frame_that_the_player_shows(tmp_path: Path, fps: float, digits: int) -> None:
    frames = np.arange(0, 9000, 37)
    seconds = [*np.round(frames / fps, digits), *np.round((frames + 0.7) / fps, digits)]
    path = save(tmp_path, project(*(box(float(z), 2.0 * i, {"1": "0"}) for i, z in enumerate(seconds))))
    (video, _) = read_via3_json(path, source=VideoSource(size=(1, 1), fps=fps)).videos
    found = {float(x): frame for tube in video.tubes for frame, (x, *_) in zip(tube.frames, tube.boxes, strict=True)}
    assert [found[2.0 * i] for i in range(len(seconds))] == [*frames, *frames]


def test_an_attribute_may_tell_the_actors_apart(tmp_path: Path) -> None:
    attributes = {"1": attribute("action", 3, {"a": "walk"}), "7": attribute("who", 1)}
    boxes = (
        box(0, 10, {"1": "a", "7": "ann"}),
        box(2, 150, {"1": "a", "7": "ann"}),
        box(2, 10, {"1": "a", "7": "bob"}),
    )
    path = save(tmp_path, project(*boxes, **attributes))
    (video, _) = read_via3_json(path, identity="who", source=SOURCE).videos
    assert [(tube.id, tube.frames.tolist()) for tube in video.tubes] == [(0, [0, 50]), (1, [50])]
    with pytest.raises(ConfigError, match=r"attributes \['action', 'who'\], none was chosen"):
        read_via3_json(path, source=SOURCE)
    with pytest.raises(ConfigError, match="not one called 'verb'"):
        read_via3_json(path, attribute="verb", source=SOURCE)
    del boxes[2]["av"]["7"]
    with pytest.raises(AnnotationError, match=r"metadata\['1_2'\]\.av: the box has no single value of 'who'"):
        read_via3_json(save(tmp_path, project(*boxes, **attributes)), identity="who", source=SOURCE)


def test_texts_and_checkboxes_are_classes_too(tmp_path: Path) -> None:
    boxes = (box(0, 10, {"1": "run"}), box(0, 90, {"1": "hop"}))
    annotations = read_via3_json(save(tmp_path, project(*boxes, **{"1": attribute("verb", 1)})), source=SOURCE)
    assert annotations.classes == ("hop", "run")
    assert [tube.label for tube in annotations.videos[0].tubes] == [0, 1]
    options = {"0": "run", "1": "hop", "2": "sit"}
    path = save(tmp_path, project(box(0, 10, {"1": "2,0"}), **{"1": attribute("verb", 2, options)}))
    assert [tube.label for tube in read_via3_json(path, source=SOURCE).videos[0].tubes] == [0, 2]


def test_what_is_no_box_of_a_class_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    boxes = (
        box(0, 10, {"1": "0"}),
        box(0, 10, {}),
        box(0, 10, {"1": ""}),
        box(0, 10, {"1": "0"}, flg=1),
        box(0, 10, {"2": "x"}, z=[1, 2], xy=[]),
        box(0, 10, {"1": "0"}, xy=[7, 1, 1, 2, 2, 3, 1]),
    )
    (video, _) = read_via3_json(save(tmp_path, project(*boxes)), source=SOURCE).videos
    assert len(video.tubes) == 1
    expected = "2 boxes without a class, 1 deleted entries, 1 segments of time, 1 shapes that are no rectangles"
    assert f"not read: {expected}" in caplog.text


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ((), [], "the document: expected an object"),
        (("metadata",), None, "metadata: expected an object, got None"),
        (("view",), {}, "view: the key '1' is missing"),
        (("view", "1"), {"fid_list": ["1", "2"]}, r"metadata\['1_0'\]\.vid: view '1' is of 2 files"),
        (("view", "1"), {"fid_list": [None]}, r"view\.1\.fid_list\[0\]: expected the id of a file"),
        (("file",), {}, "file: the key '1' is missing"),
        (("file", "2", "fname"), "a.mp4", r"file\['2'\]\.fname: two files are called 'a.mp4'"),
        (("attribute", "1", "options"), {"0": "a", "1": "a"}, "attribute.*options: .*different names"),
        (("attribute", "1", "options"), {}, "options: .*expected options"),
        (("metadata", "1_0", "av", "1"), "9", r"metadata\['1_0'\]\.av\.1: attribute 'action' has no option '9'"),
        (("metadata", "1_0", "av", "1"), 0, r"av\.1: expected a text, got 0"),
        (("metadata", "1_0", "z"), [-1], r"metadata\['1_0'\]\.z: got -1"),
        (("metadata", "1_0", "z"), [1e30], r"\.z: got 1e\+30"),
        (("metadata", "1_0", "z"), ["0"], r"\.z\[0\]: expected a finite number, got '0'"),
        (("metadata", "1_0", "z"), [10**400], r"\.z\[0\]: expected a finite number"),
        (("metadata", "1_0", "z"), [float("nan")], r"\.z\[0\]: expected a finite number"),
        (("metadata", "1_0", "xy"), [2, 1, 1, 5], r"\.xy: got \[2, 1, 1, 5\]; expected \[2, x, y"),
        (("metadata", "1_0", "xy"), [2, 1, 1, -1, 5], r"\.xy: .*expected \[2, x, y"),
        (("metadata", "1_0", "xy"), [2, 1e20, 1, 1, 5], "video a.mp4: a box is .*pixels of a video"),
        (("metadata", "1_0", "flg"), "0", r"\.flg: expected an integer"),
        (("metadata", "1_0", "vid"), 1, r"\.vid: expected a text"),
    ],
)
def test_a_wrong_shape_is_refused_and_its_place_is_named(
    tmp_path: Path, place: tuple[str, ...], value: Any, message: str
) -> None:
    document = {"root": copy.deepcopy(project(box(0, 10, {"1": "0"})))}
    node, last = document, "root"
    for key in place:
        node, last = node[last], key
    node[last] = value
    with pytest.raises(AnnotationError, match=rf"via\.json: .*{message}"):
        read_via3_json(save(tmp_path, document["root"]), source=SOURCE)


def test_seconds_need_a_rate_and_pixels_a_size(tmp_path: Path) -> None:
    path = save(tmp_path, project(box(0, 10, {"1": "0"})))
    with pytest.raises(AnnotationError, match=r"via\.json: the rate of a\.mp4 is not known"):
        read_via3_json(path, source=VideoSource(size=(1, 1)))
    with pytest.raises(AnnotationError, match=r"via\.json: .*size of video a\.mp4"):
        read_via3_json(path)
    with pytest.raises(DataNotFoundError, match=r"nothing\.json"):
        read_via3_json(tmp_path / "nothing.json")


def test_the_times_of_a_video_tell_its_frames(tmp_path: Path) -> None:
    times = [0, 1, 5, 7, 20]  # in 25ths of a second
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 200, 100, "yuv420p"
        for time in times:
            frame = av.VideoFrame.from_ndarray(np.full((100, 200, 3), time, np.uint8))
            frame.pts = time
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    value = project(*(box(round(time / 25 + 0.03, 3), 40.0 * i, {"1": "0"}) for i, time in enumerate(times)))
    value["file"] = {"1": {"fname": "a.mkv"}}
    for source in (VideoSource(root=tmp_path), VideoSource(root=tmp_path, fps=25.0)):
        (video,) = read_via3_json(save(tmp_path, value), source=source).videos
        assert video.num_frames == 5
        assert [(tube.frames[0], tube.boxes[0, 0]) for tube in video.tubes] == [(i, 40 * i) for i in range(5)]


@pytest.mark.data
def test_every_box_on_a_real_video_of_varying_rate_is_on_its_frame(tmp_path: Path, shared: Path) -> None:
    path = shared / "media/torture/vfr.mp4"
    with av.open(str(path)) as container:
        times = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
    ends = [*times[1:], times[-1] + 0.02]
    seconds = [round(time + 0.4 * (end - time), 3) for time, end in zip(times, ends, strict=True)]
    value = project(*(box(time, float(i), {"1": "0", "3": str(i)}) for i, time in enumerate(seconds)))
    value["file"] = {"1": {"fname": path.name}}
    value["attribute"]["3"] = attribute("who", 1)
    source = VideoSource(root=path.parent)
    (video,) = read_via3_json(save(tmp_path, value), attribute="action", identity="who", source=source).videos
    assert [(tube.frames[0], tube.boxes[0, 0]) for tube in sorted(video.tubes, key=lambda tube: tube.frames[0])] == [
        (i, i) for i in range(90)
    ]


def test_boxes_that_say_nothing_are_dropped_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    boxes = [box(0, 10, {"1": "0"}), box(0, 10, {"1": "0"}), box(0, 10, {"1": "0"}, xy=[2, 10, 10, 0, 5])]
    (video, _) = read_via3_json(save(tmp_path, project(*boxes)), source=SOURCE).videos
    assert [tube.frames.tolist() for tube in video.tubes] == [[0]]
    assert "dropped boxes: 1 that are there before, 1 without area" in caplog.text


@pytest.mark.parametrize(
    "value",
    [
        {"_via_settings": {}, "_via_img_metadata": {}, "_via_attributes": {}},
        {"a.jpg123": {"filename": "a.jpg", "size": 123, "regions": [], "file_attributes": {}}},
    ],
)
def test_files_of_via_2_are_named(tmp_path: Path, value: dict[str, Any]) -> None:
    with pytest.raises(AnnotationError, match=r"via\.json: .*this is of VIA 2"):
        read_via3_json(save(tmp_path, value), source=SOURCE)


def test_two_boxes_of_an_actor_on_a_frame_are_refused(tmp_path: Path) -> None:
    attributes = {"1": attribute("action", 3, {"a": "walk"}), "7": attribute("who", 1)}
    boxes = (box(0, 10, {"1": "a", "7": "ann"}), box(0.01, 11, {"1": "a", "7": "ann"}))
    with pytest.raises(AnnotationError, match=r"video a\.mp4: actor 0 has two boxes"):
        read_via3_json(save(tmp_path, project(*boxes, **attributes)), identity="who", source=SOURCE)
