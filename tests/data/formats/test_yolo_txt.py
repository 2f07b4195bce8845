"""YOLO's text files, in folders of videos or named after them."""

from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest

from stal.data.formats.video_source import VideoSource
from stal.data.formats.yolo_txt import read_yolo_txt
from stal.errors import AnnotationError, ConfigError, DataNotFoundError, StalError

SOURCE = VideoSource(size=(100, 200))
LINE = "1 0.5 0.5 0.25 0.5\n"


def save(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.parametrize(("folder", "separator"), [("Biking/v_1", "/"), ("Biking/v_1", "_")])
def test_a_folder_or_a_name_is_a_video(tmp_path: Path, folder: str, separator: str) -> None:
    files = {
        f"{folder}{separator}000001.txt": LINE + "0 0.1 0.1 0.2 0.2\n",
        f"{folder}{separator}000002.txt": "\n" + LINE,
        f"{folder}{separator}000003.txt": "",
        "classes.txt": "walk\r\njump\r\n",
    }
    annotations = read_yolo_txt(save(tmp_path, files), source=SOURCE, split="val")
    assert annotations.classes == ("walk", "jump")
    (video,) = annotations.videos
    assert (video.key, video.num_frames, video.split) == ("Biking/v_1", 3, "val")
    assert [(tube.id, tube.label, tube.frames.tolist()) for tube in video.tubes] == [(0, 0, [0]), (1, 1, [0, 1])]
    np.testing.assert_array_equal(video.tubes[1].boxes[0], np.float32([75, 25, 125, 75]))


def test_files_of_one_video_are_in_the_folder_itself(tmp_path: Path) -> None:
    folder = save(tmp_path / "clip", {"1.txt": LINE, "10.txt": LINE})
    (video,) = read_yolo_txt(folder, classes=["a", "b"], source=SOURCE).videos
    assert (video.key, [tube.frames.tolist() for tube in video.tubes]) == ("clip", [[0], [9]])


def test_frames_are_numbered_from_0_if_one_is_0(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = save(tmp_path, {"a/0.txt": LINE, "b/1.txt": LINE})
    first, second = read_yolo_txt(folder, classes=["a", "b"], source=SOURCE).videos
    assert [video.tubes[0].frames.tolist() for video in (first, second)] == [[0], [1]]
    assert "numbered from 0 on" in caplog.text
    with pytest.raises(AnnotationError, match=r"a/0\.txt: frames are numbered from 1 on"):
        read_yolo_txt(folder, classes=["a", "b"], source=SOURCE, first_frame=1)
    only_1 = save(tmp_path / "c", {"1.txt": LINE})
    assert read_yolo_txt(only_1, classes=["a", "b"], source=SOURCE).videos[0].tubes[0].frames[0] == 0
    assert read_yolo_txt(only_1, classes=["a", "b"], source=SOURCE, first_frame=0).videos[0].tubes[0].frames[0] == 1


def test_scores_are_dropped_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (video,) = read_yolo_txt(save(tmp_path, {"a/1.txt": "0 0.5 0.5 0.25 0.5 0.9"}), classes=["a"], source=SOURCE).videos
    assert video.tubes[0].score is None
    assert "dropped the scores of 1 boxes" in caplog.text


def test_the_videos_tell_length_and_size(tmp_path: Path) -> None:
    for number in range(1, 5):
        frames = tmp_path / "videos" / "a"
        frames.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(frames / f"{number:05d}.png"), np.zeros((40, 80, 3), np.uint8))
    source = VideoSource(root=tmp_path / "videos")
    labels = save(tmp_path / "labels", {"a/1.txt": LINE})
    (video,) = read_yolo_txt(labels, classes=["a", "b"], source=source).videos
    assert (video.num_frames, video.height, video.width, video.path) == (4, 40, 80, tmp_path / "videos" / "a")
    np.testing.assert_array_equal(video.tubes[0].boxes, np.float32([[30, 10, 50, 30]]))
    save(labels, {"a/5.txt": LINE})
    with pytest.raises(AnnotationError, match="box on frame 4, but the annotation gives the video 4 frames"):
        read_yolo_txt(labels, classes=["a", "b"], source=source)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a/1.txt": "2 0.5 0.5 0.2 0.2"}, r"a/1\.txt: .*the class is none of 0 to 1; are the classes 1-based"),
        ({"a/1.txt": "-1 0.5 0.5 0.2 0.2"}, "none of 0 to 1"),
        ({"a/1.txt": "0.5 0.5 0.5 0.2 0.2"}, "none of 0 to 1"),
        ({"a/1.txt": "nan 0.5 0.5 0.2 0.2"}, "none of 0 to 1"),
        ({"a/1.txt": f"{10**400} 0.5 0.5 0.2 0.2"}, "none of 0 to 1"),
        ({"a/1.txt": "0 0.5 0.5 0 0.2"}, "in fractions of the image"),
        ({"a/1.txt": "0 0.5 0.5 -0.1 0.2"}, "in fractions of the image"),
        ({"a/1.txt": "0 nan 0.5 0.1 0.2"}, "in fractions of the image"),
        ({"a/1.txt": "0 1e308 0.5 0.1 0.2"}, "in fractions of the image"),
        ({"a/1.txt": "0 0.5 0.5 1e-300 0.2"}, "video a: .*x1 < x2"),
        ({"a/1.txt": LINE + "0 0.5 0.5 0.2"}, r"a/1\.txt: line 2: 4 values"),
        ({"a/1.txt": "0 0.1 0.1 0.2 0.2 0.3 0.3"}, "line 1: 7 values"),
        ({"a/1.txt": "walk 0.5 0.5 0.2 0.2"}, "line 1: expected numbers, got 'walk"),
        ({"a/frame.txt": LINE}, r"a/frame\.txt: the name must end with the number"),
        ({"a/1.txt": LINE, "a/01.txt": LINE}, r"a/1\.txt: 01\.txt is the same frame"),
        ({"a/1234567890.txt": LINE}, "must end with the number"),
    ],
)
def test_broken_files_are_refused_and_named(tmp_path: Path, files: dict[str, str], message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        read_yolo_txt(save(tmp_path, files), classes=["a", "b"], source=SOURCE)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match=r"there are no \.txt files"):
        read_yolo_txt(tmp_path / "nothing", classes=["a"], source=SOURCE)
    folder = save(tmp_path, {"a/1.txt": LINE})
    with pytest.raises(DataNotFoundError, match=r"classes\.txt: .*--classes"):
        read_yolo_txt(folder, source=SOURCE)
    with pytest.raises(ConfigError, match="not all different"):
        read_yolo_txt(folder, classes=["a", "a"], source=SOURCE)
    with pytest.raises(AnnotationError, match="does not say the size of video a"):
        read_yolo_txt(folder, classes=["a", "b"])


def test_broken_bytes_raise_nothing_else(tmp_path: Path) -> None:
    folder, random = save(tmp_path, {"a/1.txt": LINE * 3}), np.random.default_rng(0)
    path = folder / "a" / "1.txt"
    original = path.read_bytes()
    for _ in range(200):
        broken = bytearray(original)
        broken[random.integers(len(broken))] = random.integers(256)
        path.write_bytes(broken)
        with suppress(StalError):
            read_yolo_txt(folder, classes=["a", "b"], source=SOURCE)
