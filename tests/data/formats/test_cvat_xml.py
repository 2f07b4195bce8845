"""CVAT for video: tracks with an end, files that CVAT imports again, and everything else refused by name."""

from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from stal.data.formats.cvat_xml import read_cvat_xml, write_cvat_xml
from stal.data.formats.video_source import VideoSource
from stal.errors import AnnotationError, DataNotFoundError, StalError, VideoReadError
from stal.structures import Annotations, Tube, Video

META = """<meta><task><id>7</id><name>a</name><size>9</size><mode>interpolation</mode>
<start_frame>0</start_frame><stop_frame>8</stop_frame><frame_filter></frame_filter>
<labels><label><name>walk</name><color>#f00</color><attributes></attributes></label><label><name>jump</name></label></labels>
<original_size><width>32</width><height>24</height></original_size><source>clip.mp4</source></task>
<dumped>2024-01-01</dumped></meta>"""
TRACKS = """<track id="0" label="jump" source="manual">
<box frame="3" keyframe="1" outside="0" occluded="0" xtl="1.00" ytl="2.50" xbr="9.00" ybr="20.00" z_order="0"></box>
<box frame="4" keyframe="0" outside="0" occluded="1" xtl="2.00" ytl="2.50" xbr="10.00" ybr="20.00" z_order="0"></box>
<box frame="5" keyframe="1" outside="1" occluded="0" xtl="2.00" ytl="2.50" xbr="10.00" ybr="20.00" z_order="0"></box>
<box frame="7" keyframe="1" outside="0" occluded="0" xtl="3.00" ytl="2.50" xbr="11.00" ybr="20.00" z_order="0"></box>
</track>"""


def document(tracks: str = TRACKS, meta: str = META) -> str:
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>{meta}{tracks}</annotations>\n'
    )


def save(folder: Path, text: str, name: str = "annotations.xml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_track_is_a_tube_with_gaps_where_it_is_outside(tmp_path: Path) -> None:
    annotations = read_cvat_xml(save(tmp_path, document()), split="val")
    assert annotations.classes == ("walk", "jump")
    (video,) = annotations.videos
    assert (video.key, video.path, video.split) == ("a", Path("clip.mp4"), "val")
    assert (video.num_frames, video.height, video.width, video.fps) == (9, 24, 32, None)
    (tube,) = video.tubes
    assert (tube.id, tube.label, tube.frames.tolist()) == (0, 1, [3, 4, 7])
    np.testing.assert_array_equal(tube.boxes[0], np.float32([1, 2.5, 9, 20]))


def test_the_subset_of_a_task_is_its_split(tmp_path: Path) -> None:
    path = save(tmp_path, document(meta=META.replace("</task>", "<subset>test</subset></task>")))
    assert read_cvat_xml(path).videos[0].split == "test"


def test_a_file_of_a_job_or_without_facts_is_read(tmp_path: Path) -> None:
    job = save(tmp_path, document(meta=META.replace("task>", "job>")), "job.xml")
    assert read_cvat_xml(job).videos[0].num_frames == 9
    bare = save(tmp_path, document(meta=""), "bare.xml")
    (video,) = read_cvat_xml(bare, source=VideoSource(size=(24, 32))).videos
    assert (video.key, video.num_frames, video.height) == ("bare", 8, 24)
    with pytest.raises(AnnotationError, match=r"bare\.xml: .*size of video bare"):
        read_cvat_xml(bare)


def test_a_folder_of_files_shares_its_classes(tmp_path: Path) -> None:
    save(tmp_path, document(meta=META.replace(">walk<", ">run<").replace("<name>a<", "<name>b<")), "x/b.xml")
    save(tmp_path, document(), "a.xml")
    annotations = read_cvat_xml(tmp_path)
    assert annotations.classes == ("walk", "jump", "run")
    assert [(video.key, video.tubes[0].label) for video in annotations.videos] == [("a", 1), ("b", 1)]
    with pytest.raises(DataNotFoundError, match=r"no \.xml file"):
        read_cvat_xml(save(tmp_path, "", "empty/note.txt").parent)


def test_the_video_must_have_the_frames_of_its_file(tmp_path: Path) -> None:
    path = save(tmp_path, document(meta=META.replace("clip.mp4", "clip")))
    frames = tmp_path / "videos" / "clip"
    frames.mkdir(parents=True)

    def extract(num_frames: int) -> None:
        for number in range(1, num_frames + 1):
            cv2.imwrite(str(frames / f"{number}.png"), np.zeros((24, 32, 3), np.uint8))

    source = VideoSource(root=tmp_path / "videos")
    extract(5)
    with pytest.raises(VideoReadError, match="9"):
        read_cvat_xml(path, source=source)
    extract(8)  # one is missing at the end, which reading repeats
    assert read_cvat_xml(path, source=source).videos[0].num_frames == 9
    extract(12)  # the task may be of a part
    (video,) = read_cvat_xml(path, source=source).videos
    assert (video.num_frames, video.path) == (12, frames)


def test_other_shapes_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    other = (
        '<track id="1" label="walk"><polygon frame="0" points="1,2;3,4;5,6"/><polygon frame="1" points="1,2"/></track>'
    )
    box = '<box frame="0" outside="0" xtl="1" ytl="2" xbr="3" ybr="4"><attribute name="a">b</attribute></box>'
    path = save(tmp_path, document(f'{other}<track id="2" label="walk">{box}</track>'))
    assert [tube.id for tube in read_cvat_xml(path).videos[0].tubes] == [2]
    assert "not read: 1 attributes, 2 polygon of tracks, 1 tracks without a visible box" in caplog.text


def test_a_rotated_box_becomes_the_upright_box_around_it(tmp_path: Path) -> None:
    box = '<box frame="0" outside="0" xtl="10" ytl="10" xbr="20" ybr="14" rotation="{}"/>'
    for degrees, expected in (
        (90, [13, 7, 17, 17]),
        (180, [10, 10, 20, 14]),
        (45, [10.05025, 7.05025, 19.94975, 16.94975]),
    ):
        path = save(tmp_path, document(f'<track id="0" label="walk">{box.format(degrees)}</track>'))
        np.testing.assert_allclose(read_cvat_xml(path).videos[0].tubes[0].boxes[0], expected, rtol=1e-6)


def data_set() -> Annotations:
    boxes = np.array([[0.1, 0.2, 33.3, 44.4], [-5, 1 / 3, 1e4, 99], [1e-7, 0, 1, 1]], np.float32)
    tubes = (Tube(1, np.array([3, 4, 8]), boxes, id=4), Tube(0, np.array([0]), boxes[:1], id=9))
    video = Video(key="A/<a> & b", path=Path("z.avi"), num_frames=9, height=24, width=32, tubes=tubes, split="test")
    return Annotations(('"walk"', "jump & run"), (video,))


@pytest.mark.parametrize("name", ["one.xml", "folder"])
def test_what_is_written_is_read_back(tmp_path: Path, name: str) -> None:
    write_cvat_xml(data_set(), tmp_path / name)
    after = read_cvat_xml(tmp_path / name)
    assert after.classes == data_set().classes
    (one,), (other,) = data_set().videos, after.videos
    assert (other.key, other.split, other.num_frames, other.height, other.width) == (one.key, "test", 9, 24, 32)
    for a, b in zip(one.tubes, other.tubes, strict=True):
        assert (a.id, a.label) == (b.id, b.label)
        np.testing.assert_array_equal(a.frames, b.frames)
        np.testing.assert_array_equal(a.boxes, b.boxes)


def test_tracks_end_with_a_box_outside(tmp_path: Path) -> None:
    write_cvat_xml(data_set(), tmp_path / "one.xml")
    first, second = ElementTree.parse(tmp_path / "one.xml").getroot().iterfind("track")
    assert [(box.get("frame"), box.get("outside")) for box in first] == [("3", "0"), ("4", "0"), ("5", "1"), ("8", "0")]
    assert [(box.get("frame"), box.get("outside")) for box in second] == [("0", "0"), ("1", "1")]
    assert {box.get("keyframe") for box in (*first, *second)} == {"1"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"key": "../a"}, r"video \.\./a: its file would not be in"),
        ({"key": "/a"}, "its file would not be in"),
        ({"key": "a\x01"}, "XML does not hold"),
        ({"split": "\ud800"}, "XML does not hold"),
        ({"tubes": (Tube(0, np.array([0]), np.array([[0, 0, 1, 1]], np.float32), score=0.5),)}, "has score 0.5"),
        ({"tubes": (Tube(0, np.array([0]), np.array([[0, 0, 1, 1]], np.float32), id=-1),)}, "tube -1 has score None"),
    ],
)
def test_what_the_format_cannot_hold_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    fields = {"key": "a", "path": Path("a.mp4"), "num_frames": 9, "height": 24, "width": 32}
    with pytest.raises(AnnotationError, match=message):
        write_cvat_xml(Annotations(("walk",), (Video(**(fields | changes)),)), tmp_path / "folder")


def test_a_single_file_is_of_one_video(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="there are 0; name a folder"):
        write_cvat_xml(Annotations(("walk",), ()), tmp_path / "one.xml")


BOX = '<track id="0" label="walk"><box {}/></track>'
GOOD = 'frame="1" outside="0" xtl="1" ytl="2" xbr="3" ybr="4"'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a whole XML file"),
        ("<annotations>", "not a whole XML file"),
        ('<?xml version="1.0" encoding="no-such"?><annotations/>', "not a whole XML file"),
        ('<?xml version="1.0" encoding="utf-32"?><annotations/>', "not a whole XML file"),
        ("<viper/>", "expected CVAT's <annotations>, got <viper>"),
        ("<a>" * 20_000 + "</a>" * 20_000, "expected CVAT's"),
        (document('<image id="0" name="a.png"/>'), "CVAT for images"),
        (document(meta="<meta><project><name>p</name></project></meta>"), "whole project"),
        (document(meta=META.replace(">8<", ">x<")), "meta/task/stop_frame is 'x'"),
        (document(meta=META.replace(">24<", ">-24<")), "original_size/height is '-24'"),
        (document(meta=META.replace(">8<", ">4<")), "tube 0 has a box on frame 7"),
        (document('<track id="0"><box/></track>'), r"track 0 \(label None\)"),
        (document('<track id="x" label="walk"/>'), "track x .* a number as id"),
        (document(BOX.format(GOOD) * 2), r"tube ids \[0, 0\] are not unique"),
        (document(BOX.format(GOOD.replace('xtl="1"', ""))), "track 0: a box has .*; expected the numbers"),
        (document(BOX.format(GOOD.replace('xtl="1"', 'xtl="a"'))), "track 0: a box has .*'xtl': 'a'"),
        (document(BOX.format(GOOD.replace('xtl="1"', 'xtl="nan"'))), "track 0: the box of frame 1 .*no pixels"),
        (document(BOX.format(GOOD.replace('xtl="1"', 'xtl="-1e308"'))), "track 0: the box of frame 1 .*no pixels"),
        (document(BOX.format(GOOD.replace('xtl="1"', 'xtl="3"'))), r"track 0: .*x1 < x2"),
        (document(BOX.format(GOOD.replace('frame="1"', 'frame="-1"'))), "track 0: a box has frame -1"),
        (document(BOX.format(GOOD.replace('frame="1"', 'frame="0.5"'))), r"frame 0\.5; frames are whole numbers"),
        (document(BOX.format(GOOD.replace('frame="1"', 'frame="inf"'))), "frame inf; frames are whole numbers"),
        (document(f'<track id="0" label="walk"><box {GOOD}/><box {GOOD}/></track>'), "track 0: .*strictly increasing"),
    ],
)
def test_broken_files_are_refused_and_the_place_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(AnnotationError, match=rf"annotations\.xml: .*{message}"):
        read_cvat_xml(save(tmp_path, text))


def test_a_file_that_expands_entities_is_refused(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><annotations>&b;</annotations>'
    with pytest.raises(AnnotationError, match=r"annotations\.xml: refused, because it has a document type"):
        read_cvat_xml(save(tmp_path, bomb))


def test_broken_bytes_raise_nothing_else(tmp_path: Path) -> None:
    path, random = save(tmp_path, document()), np.random.default_rng(0)
    original = path.read_bytes()
    for _ in range(300):
        broken = bytearray(original)
        for position in random.integers(len(broken), size=2):
            broken[position] = random.integers(256)
        path.write_bytes(broken)
        with suppress(StalError):
            read_cvat_xml(path)
