"""CVAT for video: tracks with an end, files that CVAT imports again, and everything else refused by name."""

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from stal.data.formats.cvat_xml import read_cvat_xml, write_cvat_xml
from stal.data.formats.video_source import VideoSource
from stal.errors import AnnotationError, ConfigError, DataNotFoundError, StalError, VideoReadError
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


@pytest.mark.parametrize(
    ("subset", "split", "expected"),
    [
        ("", None, "train"),
        ("<subset></subset>", None, "train"),
        ("<subset>default</subset>", None, "train"),
        ("<subset>default</subset>", "val", "val"),
        ("<subset>test</subset>", "test", "test"),
    ],
)
def test_a_split_is_what_the_user_says_unless_there_is_a_subset(
    tmp_path: Path, subset: str, split: str | None, expected: str
) -> None:
    path = save(tmp_path, document(meta=META.replace("</task>", f"{subset}</task>")))
    assert read_cvat_xml(path, split=split).videos[0].split == expected


def test_a_split_at_odds_with_the_subset_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, document(meta=META.replace("</task>", "<subset>test</subset></task>")))
    with pytest.raises(AnnotationError, match=r"annotations\.xml: its subset is 'test', but the split 'val' was given"):
        read_cvat_xml(path, split="val")


JOB = re.sub("<name>a</name>|<source>.*?</source>", "", META).replace("task>", "job>")
SIZE = "<original_size><width>32</width><height>24</height></original_size>"


@pytest.mark.parametrize("job", [JOB, JOB.replace(SIZE, "").replace("</job>", f"</job>{SIZE}")])
def test_the_export_of_a_job_is_of_the_video_that_its_file_is_called(tmp_path: Path, job: str) -> None:
    (video,) = read_cvat_xml(save(tmp_path, document(meta=job), "v_1.xml")).videos
    assert (video.key, video.num_frames, video.height, video.width) == ("v_1", 9, 24, 32)
    with pytest.raises(AnnotationError, match=r"annotations\.xml: the export of a job does not say its video: rename"):
        read_cvat_xml(save(tmp_path, document(meta=job)))


def test_an_empty_number_is_a_missing_one(tmp_path: Path) -> None:
    path = save(tmp_path, document(meta=META.replace("<stop_frame>8<", "<stop_frame> <")))
    assert read_cvat_xml(path).videos[0].num_frames == 9


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
    save(tmp_path, document(), "x/c.xml")
    with pytest.raises(AnnotationError, match=r"x/c\.xml: is of video a, and so is .*/a\.xml; remove one"):
        read_cvat_xml(tmp_path)
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


def test_frames_that_only_the_player_fills_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    box = '<box frame="{}" outside="{}" xtl="1" ytl="2" xbr="3" ybr="4"/>'

    def read(*boxes: tuple[int, int]) -> list[int]:
        text = "".join(box.format(*frame) for frame in boxes)
        path = save(tmp_path, document(f'<track id="2" label="walk">{text}</track>'))
        caplog.clear()
        return read_cvat_xml(path).videos[0].tubes[0].frames.tolist()

    assert read((0, 0), (1, 0), (2, 1), (5, 0), (6, 1)) == [0, 1, 5]
    assert not caplog.text
    assert read((7, 0), (4, 0), (0, 0), (1, 1)) == [0, 4, 7]
    assert "not read: 2 frames between two boxes of a track, where CVAT's player interpolates" in caplog.text


ACTIONS = """<labels><label><name>person</name><attributes><attribute><name>action</name><input_type>select</input_type>
<values>__undefined__
walk
run</values></attribute><attribute><name>note</name><input_type>text</input_type><values>x</values></attribute>
</attributes></label></labels>"""


def acted(*values: str | None, track: str = "") -> str:
    boxes = ""
    for frame, value in enumerate(values):
        inside = "" if value is None else f'<attribute name="action">{value}</attribute>'
        boxes += f'<box frame="{frame}" outside="0" xtl="1" ytl="2" xbr="3" ybr="4">{inside}</box>'
    return f'<track id="5" label="person">{track}{boxes}</track>'


def read_actions(folder: Path, *tracks: str, attribute: str = "action") -> Annotations:
    meta = re.sub("<labels>.*</labels>", ACTIONS, META, flags=re.DOTALL)
    return read_cvat_xml(save(folder, document("".join(tracks), meta)), attribute=attribute)


def test_the_values_of_an_attribute_may_be_the_classes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    of_track = acted(None, None, track='<attribute name="action">jump</attribute>')
    annotations = read_actions(tmp_path, acted("run", "run", "walk", "run"), of_track)
    assert annotations.classes == ("walk", "run", "jump")
    tubes = [(tube.id, annotations.classes[tube.label], tube.frames.tolist()) for tube in annotations.videos[0].tubes]
    assert tubes == [(0, "run", [0, 1]), (1, "walk", [2]), (2, "run", [3]), (3, "jump", [0, 1])]
    assert not caplog.text


def test_boxes_without_a_value_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    annotations = read_actions(tmp_path, acted("walk", None, "__undefined__", "", "walk"))
    assert [tube.frames.tolist() for tube in annotations.videos[0].tubes] == [[0], [4]]
    assert "not read: 3 boxes without a value of action" in caplog.text


def test_a_track_has_one_box_a_frame_whatever_its_values(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="track 5: has two boxes on frame 1"):
        read_actions(tmp_path, acted("walk", "walk", "run").replace('frame="2"', 'frame="1"'))


def test_an_attribute_that_is_nowhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no attribute 'acton'; there are \['action', 'note'\]"):
        read_actions(tmp_path, acted("walk"), attribute="acton")


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
        ({"split": "default"}, "CVAT's word for none"),
        ({"tubes": (Tube(0, np.array([0]), np.array([[0, 0, 1, 1]], np.float32), score=0.5),)}, "has score 0.5"),
        ({"tubes": (Tube(0, np.array([0]), np.array([[0, 0, 1, 1]], np.float32), id=-1),)}, "tube -1 has score None"),
    ],
)
def test_what_the_format_cannot_hold_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    fields = {"key": "a", "path": Path("a.mp4"), "num_frames": 9, "height": 24, "width": 32}
    with pytest.raises(AnnotationError, match=message):
        write_cvat_xml(Annotations(("walk",), (Video(**(fields | changes)),)), tmp_path / "folder")


def test_videos_that_would_share_a_file_are_refused(tmp_path: Path) -> None:
    videos = tuple(Video(key, Path(key), 9, 24, 32) for key in ("./a", "a"))
    with pytest.raises(AnnotationError, match=r"videos \./a and a would both be .*folder/a\.xml; rename one"):
        write_cvat_xml(Annotations(("walk",), videos), tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_a_folder_with_files_of_other_videos_is_refused(tmp_path: Path) -> None:
    write_cvat_xml(data_set(), tmp_path)
    write_cvat_xml(data_set(), tmp_path)  # its own files are replaced
    stale = save(tmp_path, document(), "x/old.xml")
    with pytest.raises(ConfigError, match=rf"has 1 \.xml files of other videos, the first is {stale}"):
        write_cvat_xml(data_set(), tmp_path)


def test_nothing_is_written_if_a_video_is_refused(tmp_path: Path) -> None:
    videos = tuple(Video(key, Path(key), 9, 24, 32) for key in ("a", "b\x01"))
    with pytest.raises(AnnotationError, match="XML does not hold"):
        write_cvat_xml(Annotations(("walk",), videos), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_video_without_a_split_is_in_no_subset(tmp_path: Path) -> None:
    write_cvat_xml(Annotations(("walk",), (Video("a", Path("a"), 9, 24, 32),)), tmp_path / "a.xml")
    assert read_cvat_xml(tmp_path / "a.xml", split="val").videos[0].split == "val"


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
    num_refused = 0
    for _ in range(300):
        broken = bytearray(original)
        for position in random.integers(len(broken), size=2):
            broken[position] = random.integers(256)
        path.write_bytes(broken)
        try:
            read_cvat_xml(path)
        except StalError:
            num_refused += 1
    assert num_refused > 20
