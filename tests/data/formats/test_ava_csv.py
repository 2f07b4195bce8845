"""AVA's csv: keyframes by seconds, people by action, and mmaction2's variant for MultiSports."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from stal.data.formats.ava_csv import read_ava_csv, write_ava_csv
from stal.data.formats.ucf24_pickle import read_pyannot
from stal.data.formats.video_source import VideoSource
from stal.data.video.reader import frame_rule, video_facts
from stal.errors import AnnotationError, ConfigError, DataNotFoundError, StalError, VideoReadError
from stal.structures import Annotations, Tube, Video

SOURCE = VideoSource(size=(100, 200))  # height, width
LABEL_MAP = """item {
  name: "bend/bow (at the waist)"
  id: 1
}
item {
  name: "stand"
  id: 12
}
"""
ROWS = """1j20qq1JyX4,0902,0.1,0.2,0.5,0.6,12,0
1j20qq1JyX4,0902,0.1,0.2,0.5,0.6,1,0
1j20qq1JyX4,0903,0.1,0.2,0.6,0.6,12,0
1j20qq1JyX4,0903,0.000,0.000,1.000,1.000,12,3
2empty,0950,,,,,,
3empty,0950
"""


@pytest.fixture
def write(tmp_path: Path):
    """Write a csv, and its label map beside it."""

    def write(text: str, label_map: str = LABEL_MAP) -> Path:
        (tmp_path / "ava.pbtxt").write_text(label_map)
        path = tmp_path / "ava.csv"
        path.write_bytes(text.encode())
        return path

    return write


def test_a_tube_for_every_person_and_action(write) -> None:
    annotations = read_ava_csv(write(ROWS), source=SOURCE, split="val")
    assert annotations.classes == ("bend/bow (at the waist)", "stand")
    first, second, third = annotations.videos
    assert [video.key for video in annotations.videos] == ["1j20qq1JyX4", "2empty", "3empty"]
    assert (first.num_frames, first.height, first.width, first.split) == (91, 100, 200, "val")
    assert [(tube.id, tube.label, tube.frames.tolist()) for tube in first.tubes] == [
        (0, 0, [60]),
        (1, 1, [60, 90]),
        (2, 1, [90]),
    ]
    np.testing.assert_array_equal(first.tubes[1].boxes, np.float32([[20, 20, 100, 60], [20, 20, 120, 60]]))
    np.testing.assert_array_equal(first.tubes[2].boxes, np.float32([[0, 0, 200, 100]]))
    assert second.tubes == third.tubes == ()


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_line_of_column_names_is_skipped(write, end: str) -> None:
    heading = "video_id,timestamp,entity_box_x1,entity_box_y1,entity_box_x2,entity_box_y2,label,person_id\n"
    with_heading = read_ava_csv(write((heading + ROWS).replace("\n", end)), source=SOURCE)
    assert len(with_heading.videos[0].tubes) == 3
    assert read_ava_csv(write("video_id,0902,0.1,0.2,0.5,0.6,12,0\n"), source=SOURCE).videos[0].key == "video_id"


def test_excluded_keyframes_are_dropped_and_counted(write, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    excluded = tmp_path / "excluded.csv"
    excluded.write_text("1j20qq1JyX4,0903\nother,0902\n")
    (video, *_) = read_ava_csv(write(ROWS), source=SOURCE, excluded=excluded).videos
    assert [tube.frames.tolist() for tube in video.tubes] == [[60], [60]]
    assert "dropped 2 of 4 boxes, on excluded keyframes" in caplog.text


def test_actions_without_a_name_are_dropped_and_counted(write, caplog: pytest.LogCaptureFixture) -> None:
    path = write(ROWS, 'label {\n  name: "stand"\n  label_id: 12\n  label_type: PERSON_MOVEMENT\n}\n')
    annotations = read_ava_csv(path, source=SOURCE)
    assert annotations.classes == ("stand",)
    assert [tube.label for tube in annotations.videos[0].tubes] == [0, 0]
    assert "dropped 1 of 4 boxes, with action ids that have no name: 1" in caplog.text
    with pytest.raises(AnnotationError, match="none of the action ids 1, 12"):
        read_ava_csv(write(ROWS, 'item { name: "a" id: 99 }'), source=SOURCE)


def test_frames_of_multisports_are_read_as_1_based_numbers(write) -> None:
    path = write("a/b.mp4,1,0.1,0.2,0.5,0.6,1,0\na/b.mp4,2,0.1,0.2,0.5,0.6,1,0\na/b.mp4,1,0.1,0.2,0.5,0.6,2,0\n")
    annotations = read_ava_csv(path, classes=["x", "y"], source=SOURCE, start_seconds=1.0, fps=1.0)
    assert [(tube.label, tube.frames.tolist()) for tube in annotations.videos[0].tubes] == [(0, [0, 1]), (1, [0])]


def test_another_rate_than_that_of_the_video_is_refused(write) -> None:
    source = VideoSource(size=(100, 200), fps=25.0)
    with pytest.raises(AnnotationError, match=r"video 1j20qq1JyX4: the video has 25 frames a second.* 15 off at 30"):
        read_ava_csv(write(ROWS), source=source, fps=30.0)
    for fps in (None, 25.0):
        (video, *_) = read_ava_csv(write(ROWS), source=source, fps=fps).videos
        assert (video.fps, video.tubes[1].frames.tolist()) == (25, [50, 75])


def video_file(path: Path, times: list[int]) -> Path:
    """A lossless video with frames at some 25ths of a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 200, 100, "yuv420p"
        for time in times:
            frame = av.VideoFrame.from_ndarray(np.full((100, 200, 3), time, np.uint8))
            frame.pts = time
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def keyframes(times: list[int]) -> str:
    """A box of one person on some 25ths of a second."""
    return "".join(f"a,{900 + time / 25:.6f},0.1,0.2,0.5,0.6,1,{time}\n" for time in times)


GAPS, VARYING = [0, 1, 2, 4, 5, 6, 7], [0, 1, 5, 7, 20]


@pytest.mark.parametrize(
    ("times", "rows", "frames", "num_frames"),
    [
        (GAPS, [0, 2, 3, 4, 7], [0, 2, 3, 4, 7], 8),  # what decodes to nothing is a frame
        (VARYING, [0, 3, 5, 19, 20], [0, 1, 2, 3, 4], 5),
        ([0, 1, 2], [2, 3], [2, 3], 4),  # one is missing at the end
    ],
)
def test_the_times_of_a_video_tell_its_frames(
    write, tmp_path: Path, times: list[int], rows: list[int], frames: list[int], num_frames: int
) -> None:
    path = video_file(tmp_path / "a.mkv", times)
    (video,) = read_ava_csv(write(keyframes(rows)), source=VideoSource(root=tmp_path)).videos
    assert [tube.frames.tolist() for tube in video.tubes] == [[frame] for frame in frames]
    assert video.num_frames == num_frames
    assert frame_rule(path, num_frames) == ("time" if times == GAPS else "order" if times == VARYING else "clamp")


def test_a_rate_that_is_given_must_be_that_of_the_video(write, tmp_path: Path) -> None:
    source = VideoSource(root=tmp_path)
    video_file(tmp_path / "a.mkv", GAPS)
    (video,) = read_ava_csv(write(keyframes([0, 3, 7])), source=source, fps=25.0).videos
    assert ([tube.frames[0] for tube in video.tubes], video.num_frames) == ([0, 3, 7], 8)
    with pytest.raises(AnnotationError, match=r"video a: at 60 frames a second, frames would be up to 10 off"):
        read_ava_csv(write(keyframes([0, 3, 7])), source=source, fps=60.0)
    with pytest.raises(VideoReadError, match="7 frames decode, but 41 are annotated"):
        read_ava_csv(write(keyframes([0, 40])), source=source)
    video_file(tmp_path / "b.mkv", VARYING)
    with pytest.raises(AnnotationError, match=r"video b: at 25 frames a second, frames would be up to 16 off"):
        read_ava_csv(write(keyframes([0, 20]).replace("a,", "b,")), source=source, fps=25.0)


def test_numbers_of_frames_are_those_that_decode_unless_there_are_more(write, tmp_path: Path) -> None:
    video_file(tmp_path / "a.mkv", GAPS)
    for last, num_frames in ((6, 7), (7, 8)):
        text = f"a,1,0.1,0.2,0.5,0.6,1,0\na,{last + 1},0.1,0.2,0.5,0.6,1,0\n"
        (video,) = read_ava_csv(write(text), source=VideoSource(root=tmp_path), start_seconds=1.0, fps=1.0).videos
        assert (video.tubes[0].frames.tolist(), video.num_frames) == ([0, last], num_frames)


def test_seconds_of_other_frames_are_not_written(tmp_path: Path) -> None:
    path = video_file(tmp_path / "a.mkv", GAPS)
    tube = Tube(0, np.array([2, 4]), np.array([[20, 20, 100, 60]] * 2, np.float32))
    by_order = Video("a", path, num_frames=7, height=100, width=200, fps=25.0, tubes=(tube,))
    write_ava_csv(Annotations(("walk",), (by_order,)), tmp_path / "out.csv", start_seconds=1.0, fps=1.0)
    with pytest.raises(AnnotationError, match=r"video a: .*a\.mkv lasts for 8 frames, but 7 are annotated"):
        write_ava_csv(Annotations(("walk",), (by_order,)), tmp_path / "out.csv", fps=25.0)
    by_time = replace(by_order, num_frames=8)
    write_ava_csv(Annotations(("walk",), (by_time,)), tmp_path / "out.csv", fps=25.0)
    varying = replace(by_order, path=video_file(tmp_path / "b.mkv", VARYING), num_frames=5)
    with pytest.raises(AnnotationError, match=r"video a: .*b\.mkv does not show frame 2 at 0\.080 s, but 1"):
        write_ava_csv(Annotations(("walk",), (varying,)), tmp_path / "out.csv", fps=25.0)


@pytest.mark.data
def test_a_real_video_with_an_empty_packet_is_read_back_as_it_was(tmp_path: Path, shared: Path) -> None:
    """It decodes to 239 frames, and the annotation has 240."""
    annotations = read_pyannot(shared / "annotations/ucf24/pyannot.pkl")
    (before,) = (video for video in annotations.videos if video.key == "Biking/v_Biking_g02_c06")
    (path,) = (shared / "media/ucf24_real").rglob("v_Biking_g02_c06.avi")
    source, fps = VideoSource(root=shared / "media/ucf24_real"), video_facts(path).fps
    before = replace(before, path=path)
    write_ava_csv(replace(annotations, videos=(before,)), tmp_path / "out.csv", fps=fps)
    for rate in (None, fps):
        (after,) = read_ava_csv(tmp_path / "out.csv", source=source, fps=rate).videos
        assert (after.num_frames, frame_rule(after.path, after.num_frames)) == (240, "time")
        for one, other in zip(before.tubes, after.tubes, strict=True):
            np.testing.assert_array_equal(one.frames, other.frames)


def test_boxes_that_say_nothing_are_dropped_and_counted(write, caplog: pytest.LogCaptureFixture) -> None:
    text = "a,902,0.1,0.2,0.5,0.6,12,0\n" * 2 + "a,902,0.1,0.2,0.1,0.6,12,1\n"
    (video,) = read_ava_csv(write(text), source=SOURCE).videos
    assert [tube.frames.tolist() for tube in video.tubes] == [[60]]
    assert "dropped boxes: 1 that are there before, 1 without area" in caplog.text


@pytest.mark.parametrize("corners", ["20,30,100,80", "0.1,0.1,0.5,12", "1.6,1.7,1.8,1.9", "-90,0.1,0.5,0.5"])
def test_pixels_are_not_taken_for_fractions(write, corners: str) -> None:
    with pytest.raises(AnnotationError, match=r"line 1: .*are these pixels\?"):
        read_ava_csv(write(f"a,902,{corners},12,0\n"), source=SOURCE)
    beyond = "a,902,-0.5,0.2,1.7,0.6,12,0\n"
    assert read_ava_csv(write(beyond), source=SOURCE).videos[0].tubes[0].boxes[0, 2] == 340


def data_set(**changes: Any) -> Annotations:
    boxes = np.array([[0.1, 0.2, 33.3, 44.4], [-5, 1 / 3, 1e3, 99]], np.float32)
    tubes = (Tube(1, np.array([3, 7]), boxes, id=4), Tube(0, np.array([7]), boxes[:1], id=9))
    fields = {"key": 'a, "b"', "path": Path("a.mp4"), "num_frames": 40, "height": 100, "width": 200, "tubes": tubes}
    other = Video(key="z", path=Path("z.mp4"), num_frames=9, height=100, width=200, split=changes.get("split", ""))
    return Annotations(("walk", 'say "hi" \\ {}'), (Video(**(fields | changes)), other))


@pytest.mark.parametrize(("start_seconds", "fps"), [(900.0, 30.0), (1.0, 1.0), (0.0, 29.97)])
def test_what_is_written_is_read_back(tmp_path: Path, start_seconds: float, fps: float) -> None:
    path, before = tmp_path / "new" / "out.csv", data_set()
    write_ava_csv(before, path, start_seconds=start_seconds, fps=fps)
    after = read_ava_csv(path, source=SOURCE, start_seconds=start_seconds, fps=fps)
    assert after.classes == before.classes
    assert [video.key for video in after.videos] == ['a, "b"', "z"]
    for number, (one, other) in enumerate(zip(before.videos[0].tubes, after.videos[0].tubes, strict=True)):
        assert (other.id, other.label) == (number, one.label)  # ids 4 and 9 become 0 and 1
        np.testing.assert_array_equal(other.frames, one.frames)
        np.testing.assert_array_equal(other.boxes, one.boxes)


def test_rows_are_those_of_ava(tmp_path: Path) -> None:
    tube = Tube(0, np.array([60, 61]), np.array([[20, 20, 100, 60]] * 2, np.float32), id=7)
    video = Video(key="a", path=Path("a.mp4"), num_frames=99, height=100, width=200, tubes=(tube,))
    write_ava_csv(Annotations(("walk",), (video,)), tmp_path / "out.csv")
    expected = "a,0902,0.1,0.2,0.5,0.6,1,7\na,902.033333,0.1,0.2,0.5,0.6,1,7\n"
    assert (tmp_path / "out.csv").read_text() == expected
    assert (tmp_path / "out.pbtxt").read_text() == 'item {\n  name: "walk"\n  id: 1\n}\n'


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "train", "fps": 25.0}, "has 25 frames a second"),
        ({"key": "a\nb"}, "printable"),
        ({"key": ""}, "printable"),
        ({"tubes": (Tube(0, np.array([0]), np.array([[0, 0, 2000, 1]], np.float32)),)}, "far outside of the image"),
        ({"tubes": (Tube(0, np.array([0]), np.array([[0, 0, 1, 1]], np.float32), score=0.5),)}, "tube 0 has a score"),
    ],
)
def test_what_the_format_cannot_hold_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        write_ava_csv(data_set(**changes), tmp_path / "out.csv")


def test_a_csv_is_of_one_split(tmp_path: Path) -> None:
    (first, second) = data_set(split="train").videos
    second = Video(key="z", path=second.path, num_frames=9, height=1, width=1, split="test")
    with pytest.raises(AnnotationError, match=r"one split.*\['test', 'train'\]"):
        write_ava_csv(Annotations(("walk", "jump"), (first, second)), tmp_path / "out.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,902,0.1,0.2,0.5,0.6,12\n", "line 1 has 7 values instead of 8"),
        ("a,902,0.1,0.2,0.5,x,12,0\n", r"line 1: expected numbers, got '902,0\.1"),
        ("a,902,0.1,0.2,0.5,,12,0\n", "line 1: expected numbers"),
        ("a,902,0.1,0.2,0.5,nan,12,0\n", "line 1: .*fractions of the image"),
        ("a,902,0.1,0.2,1e308,0.6,12,0\n", "line 1: .*fractions of the image"),
        ("a,902,0.6,0.2,0.5,0.6,12,0\n", "line 1: .*x1 < x2"),
        ("\na,902,0.1,0.6,0.5,0.2,12,0\n", "line 2: .*y1 < y2"),
        ("a,902,0.1,0.2,0.5,0.6,1.5,0\n", "line 1: .*whole numbers"),
        ("a,902,0.1,0.2,0.5,0.6,12,1e300\n", "line 1: .*whole numbers"),
        (f"a,902,0.1,0.2,0.5,0.6,{10**400},0\n", "line 1: .*whole numbers"),
        ("a,12,0.1,0.2,0.5,0.6,12,0\n", "line 1: .*timestamps begin at 900"),
        ("a,1e308,0.1,0.2,0.5,0.6,12,0\n", "line 1: .*timestamps begin at 900"),
        ("a,inf,0.1,0.2,0.5,0.6,12,0\n", "line 1: .*a number of seconds"),
        (
            "a,902,0.1,0.2,0.5,0.6,12,0\na,902,0.1,0.2,0.5,0.7,12,0\n",
            r"video a: actor 0 has two boxes of class 1 .* on frame 60",
        ),
        ("a\0,902,0.1,0.2,0.5,0.6,12,0\n", r"line 1: the id of the video is 'a\\x00'"),
        (",902,0.1,0.2,0.5,0.6,12,0\n", "line 1: the id of the video is ''"),
        ("a,902,0.1,0.2,0.5,0.6,1_2,0\n", "line 1: expected numbers"),
        ("a,9_02,0.1,0.2,0.5,0.6,12,0\n", "line 1: expected numbers"),
        ('"' + "a" * 200_000 + '",902\n', "is not csv"),
    ],
)
def test_broken_rows_are_refused_and_named(write, text: str, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        read_ava_csv(write(text), source=SOURCE)


def test_broken_bytes_raise_nothing_else(write) -> None:
    path, random = write(ROWS), np.random.default_rng(0)
    original = path.read_bytes()
    num_refused = 0
    for _ in range(200):
        broken = bytearray(original)
        for position in random.integers(len(broken), size=3):
            broken[position] = random.integers(256)
        path.write_bytes(broken)
        try:
            read_ava_csv(path, source=SOURCE)
        except StalError:
            num_refused += 1
    assert num_refused > 20


def test_settings_that_cannot_work_are_refused(write, tmp_path: Path) -> None:
    path = write(ROWS)
    with pytest.raises(ConfigError, match="not as both"):
        read_ava_csv(path, classes=["a"], label_map=path, source=SOURCE)
    with pytest.raises(ConfigError, match="not all different"):
        read_ava_csv(path, classes=["a", "a"], source=SOURCE)
    with pytest.raises(ConfigError, match="fps above 0"):
        read_ava_csv(path, fps=0.0, source=SOURCE)
    with pytest.raises(AnnotationError, match="does not say the size of video 1j20qq1JyX4"):
        read_ava_csv(path)
    with pytest.raises(DataNotFoundError, match=r"other\.pbtxt"):
        read_ava_csv(path.rename(tmp_path / "other.csv"), source=SOURCE)


def test_nothing_is_logged_where_nothing_is_dropped(write, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        read_ava_csv(write(ROWS), source=SOURCE)
    assert caplog.text == ""
