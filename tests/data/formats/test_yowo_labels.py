import logging
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from stal.data.formats.ucf24_annotations import CLASSES
from stal.data.formats.video_source import VideoSource
from stal.data.formats.yowo_labels import read_yowo_labels
from stal.errors import AnnotationError, DataNotFoundError, VideoReadError
from stal.structures import Video

BIKING, DIVING = "Biking/v_Biking_g01_c01", "Diving/v_Diving_g01_c01"


def write_label(root: Path, key: str, frame: int, *lines: str) -> Path:
    path = root / "labels" / key / f"{frame:05d}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two people who ride side by side and one who dives; frame 3 of the riders has no label file."""
    for frame in (1, 2, 4):
        write_label(tmp_path, BIKING, frame, f"3 {200 + frame} 20 240 90", f"3 {10 + frame} 30.5 50 80")
    write_label(tmp_path, DIVING, 2, "6 1 2 30 40")
    write_label(tmp_path, DIVING, 5)
    return tmp_path


def write_lists(root: Path, train: list[str], test: list[str], end: str = "\r\n") -> None:
    for name, lines in (("trainlist.txt", train), ("testlist.txt", test)):
        (root / name).write_text("".join(f"{line}{end}" for line in lines), newline="")


def read(root: Path, **options: Any) -> dict[str, Video]:
    return {video.key: video for video in read_yowo_labels(root, **options).videos}


def test_boxes_of_frames_and_classes_from_one_are_joined_to_tubes_from_zero(root: Path) -> None:
    video = read(root)[BIKING]
    assert [tube.frames.tolist() for tube in video.tubes] == [[0, 1], [0, 1], [3], [3]]
    assert {tube.label for tube in video.tubes} == {CLASSES.index("Biking")}
    assert video.tubes[0].boxes.tolist() == [[11, 30.5, 50, 80], [12, 30.5, 50, 80]]
    assert video.tubes[1].boxes.tolist() == [[201, 20, 240, 90], [202, 20, 240, 90]]


def test_the_size_is_that_of_ucf101_and_the_last_label_ends_a_video(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        videos = read(root)
    assert {(video.height, video.width, video.fps, video.split) for video in videos.values()} == {
        (240, 320, None, "train")
    }
    assert [videos[key].num_frames for key in (BIKING, DIVING)] == [4, 5]
    assert videos[DIVING].path.as_posix() == DIVING
    assert caplog.messages == [f"{root}: 2 videos without frames are taken to end with their last label"]


def test_frames_that_are_there_say_how_many_they_are(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    for folder, num_frames in (("rgb-images", 7), ("elsewhere", 9)):
        for key in (BIKING, DIVING)[: 1 if folder == "rgb-images" else 2]:
            for frame in range(1, num_frames + 1):
                image = root / folder / key / f"{frame:05d}.jpg"
                image.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(image), np.zeros((240, 320, 3), np.uint8))
    with caplog.at_level(logging.INFO):
        videos = read(root, source=VideoSource(root=root / "elsewhere", fps=25.0))
    assert [(videos[key].num_frames, videos[key].fps) for key in (BIKING, DIVING)] == [(7, 25.0), (9, 25.0)]
    assert videos[BIKING].path == root / "rgb-images" / BIKING
    assert videos[DIVING].path == root / "elsewhere" / DIVING
    assert not caplog.records


def test_frames_of_another_size_than_the_boxes_are_refused(root: Path) -> None:
    image = root / "rgb-images" / BIKING / "00001.jpg"
    image.parent.mkdir(parents=True)
    image.write_bytes(b"no image")
    with pytest.raises(VideoReadError, match=r"00001\.jpg: not an image"):
        read(root)
    cv2.imwrite(str(image), np.zeros((24, 32, 3), np.uint8))
    with pytest.raises(
        AnnotationError, match=r"v_Biking_g01_c01 was annotated in 320 x 240 pixels, but .* has 32 x 24"
    ):
        read(root)


@pytest.mark.parametrize("prefix", ["labels/", ""])
def test_the_lists_make_the_splits(root: Path, prefix: str) -> None:
    write_lists(root, [f"{prefix}{BIKING}/00001.txt", f"{prefix}{BIKING}/00002.txt"], [f"{prefix}{DIVING}/00002.txt"])
    assert {key: video.split for key, video in read(root).items()} == {BIKING: "train", DIVING: "test"}


def test_without_lists_all_videos_get_one_split(root: Path) -> None:
    assert {video.split for video in read(root, split="test").values()} == {"test"}


def test_a_listed_video_without_labels_has_no_tubes(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    skiing = "Skiing/v_Skiing_g01_c01"
    write_lists(root, [f"labels/{key}/00001.txt" for key in (BIKING, DIVING)], [f"labels/{skiing}/00012.txt"])
    with caplog.at_level(logging.INFO):
        video = read(root)[skiing]
    assert (video.tubes, video.num_frames, video.split) == ((), 12, "test")
    assert f"{root}: 1 of 3 listed videos have no labels, and so no tubes" in caplog.messages


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ([f"labels/{BIKING}/00001.txt"], [], rf"1 of 2 videos with labels are not in .*: {DIVING} is the first"),
        ([f"{BIKING}/00001.txt"], [f"{DIVING}/00001.txt", f"{BIKING}/00002.txt"], f"in both lists, .* is {BIKING}"),
        (["00001.txt"], [], r"trainlist\.txt, line 1: '00001\.txt' is not labels/<Class>/<video>"),
        (["", "labels/../../00001.txt"], [], r"trainlist\.txt, line 2: .* is not labels/<Class>/<video>"),
        ([f"labels/{BIKING}/frame.txt"], [], r"trainlist\.txt, line 1"),
    ],
)
def test_broken_lists_are_refused(root: Path, train: list[str], test: list[str], message: str) -> None:
    write_lists(root, train, test)
    with pytest.raises(AnnotationError, match=message):
        read(root)


def test_classes_can_be_named(root: Path) -> None:
    names = ["a", "b", "c", "d", "e", "f"]
    annotations = read_yowo_labels(root, classes=names)
    assert annotations.classes == tuple(names)
    assert annotations.videos[1].tubes[0].label == 5


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("3 1 2 3", "is not `class x1 y1 x2 y2`"),
        ("3 1 2 30 40 5", "is not `class x1 y1 x2 y2`"),
        ("3 1 2 30 x", "is not `class x1 y1 x2 y2`"),
        ("0 1 2 30 40", "has no class from 1 to 24; 1 of 6 of the video are like it"),
        ("25 1 2 30 40", "has no class from 1 to 24"),
        ("2.5 1 2 30 40", "has no class from 1 to 24"),
        ("nan 1 2 30 40", "has no class from 1 to 24"),
        ("3 30 2 1 40", "has no box x1 y1 x2 y2 in pixels with x1 < x2 and y1 < y2; 1 of 6"),
        ("3 1 2 3_0 40", "is not `class x1 y1 x2 y2`"),
        ("3 1 2 inf 40", "has no box x1 y1 x2 y2 in pixels"),
    ],
)
def test_a_broken_label_is_named_with_its_line(root: Path, line: str, message: str) -> None:
    write_label(root, BIKING, 2, "3 1 2 30 40", line)
    with pytest.raises(AnnotationError, match=rf"{BIKING}/00002\.txt: '{line}' {message}"):
        read(root)


def test_boxes_that_say_nothing_are_dropped_and_counted(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_label(root, DIVING, 2, "6 1 2 30 40", "6 1 2 30 40", "6 5 5 5 9", "6 2 2 30 40")
    assert len(read(root)[DIVING].tubes) == 2
    assert "dropped boxes: 1 that are there before, 1 without area" in caplog.text


@pytest.mark.parametrize("name", ["00000.txt", "frame.txt", "00001.jpg", "1.txt", "0000099999.txt"])
def test_a_file_that_is_not_named_by_a_frame_of_its_own_is_refused(root: Path, name: str) -> None:
    (root / "labels" / BIKING / name).touch()
    with pytest.raises(AnnotationError, match=r"not named by a frame of its own, from 00001\.txt on"):
        read(root)


def test_a_label_that_is_no_text_or_beyond_the_frames_is_refused(root: Path) -> None:
    (root / "labels" / DIVING / "00002.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(AnnotationError, match=r"00002\.txt: not a text in UTF-8"):
        read(root)
    write_label(root, DIVING, 2, "6 1 2 30 40")
    image = root / "rgb-images" / DIVING / "00001.jpg"
    image.parent.mkdir(parents=True)
    cv2.imwrite(str(image), np.zeros((240, 320, 3), np.uint8))
    with pytest.raises(VideoReadError, match=rf"video {DIVING}: .* 1 frames decode, but 5 are annotated"):
        read(root)


def test_a_folder_without_labels_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match=r"labels: there are no folders <Class>/<video> of labels"):
        read(tmp_path)
