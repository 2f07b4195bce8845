"""YOLO's text files, in folders of videos or named after them."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from stal.data.formats.video_source import VideoSource
from stal.data.formats.yolo_txt import read_yolo_txt
from stal.errors import AnnotationError, ConfigError, DataNotFoundError, StalError, VideoReadError

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
    assert not caplog.text
    with pytest.raises(AnnotationError, match=r"a/0\.txt: frames are numbered from 1 on"):
        read_yolo_txt(folder, classes=["a", "b"], source=SOURCE, first_frame=1)
    only_1 = save(tmp_path / "c", {"1.txt": LINE, "d/1.txt": LINE})
    assert read_yolo_txt(only_1, classes=["a", "b"], source=SOURCE).videos[0].tubes[0].frames[0] == 0
    assert "numbered from 1 on" in caplog.text
    assert read_yolo_txt(only_1, classes=["a", "b"], source=SOURCE, first_frame=0).videos[0].tubes[0].frames[0] == 1


def test_numbers_that_may_count_from_0_or_1_are_refused(tmp_path: Path) -> None:
    folder = save(tmp_path, {"a/1.txt": LINE, "b/7.txt": LINE})
    with pytest.raises(AnnotationError, match=r"no video has a frame 0, and video b starts with 7, .*--first-frame"):
        read_yolo_txt(folder, classes=["a", "b"], source=SOURCE)
    videos = read_yolo_txt(folder, classes=["a", "b"], source=SOURCE, first_frame=0).videos
    assert [video.tubes[0].frames[0] for video in videos] == [1, 7]


@pytest.mark.parametrize("score", ["", " 0.5"])
def test_ids_of_tracks_are_actors(tmp_path: Path, score: str, caplog: pytest.LogCaptureFixture) -> None:
    near, far = f"0 0.2 0.5 0.2 0.2{score}", f"0 0.8 0.5 0.2 0.2{score}"
    files = {"a/1.txt": f"{near} 1\n{far} 7\n", "a/2.txt": f"{far} 1", "b/1.txt": f"{near} 1"}
    first, second = read_yolo_txt(save(tmp_path, files), classes=["a"], source=SOURCE).videos
    assert [(tube.id, tube.frames.tolist()) for tube in first.tubes] == [(0, [0, 1]), (1, [0])]
    assert first.tubes[0].boxes[:, 0] == pytest.approx([20, 140])
    assert len(second.tubes) == 1
    assert ("dropped the scores of 4 boxes" in caplog.text) == bool(score)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["2", "0.5"], "the id of a track is 0.5"),
        (["2", "-1"], "the id of a track is -1"),
        (["2", "1e300"], r"the id of a track is 1e\+300"),
        (["2", ""], "1 of 2 boxes have no id of a track"),
        (["0.5 2", "0.5"], "1 of 2 boxes have no id of a track"),
        (["0.5 2", "7 3"], "a sixth value is 7, which is neither a score"),
        (["0.5", "1.5"], "a sixth value is 1.5, which is neither a score"),
        (["0.5", "-0.5"], "a sixth value is -0.5"),
        (["0.5", "nan"], "not finite"),
    ],
)
def test_ids_and_scores_that_are_none_are_refused(tmp_path: Path, values: list[str], message: str) -> None:
    files = {f"a/{i}.txt": f"0 0.5 0.5 0.2 0.2 {value}" for i, value in enumerate(values)}
    with pytest.raises(AnnotationError, match=message):
        read_yolo_txt(save(tmp_path, files), classes=["a"], source=SOURCE)


def test_boxes_that_say_nothing_are_dropped_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = save(tmp_path, {"a/1.txt": LINE + LINE + "1 0.5 0.5 0.3 0.5\n0 0.5 0.5 0 0.2\n0 0.6 0.5 1e-300 0.2"})
    (video,) = read_yolo_txt(folder, classes=["a", "b"], source=SOURCE).videos
    assert len(video.tubes) == 2
    assert "dropped boxes: 1 that are there before, 2 without area" in caplog.text


@pytest.mark.parametrize("line", ["0 160 120 30 40", "0 0.5 0.5 0.2 12", "0 1.6 1.7 1.8 0.2", "0 -300 0.5 0.2 0.2"])
def test_pixels_are_not_taken_for_fractions(tmp_path: Path, line: str) -> None:
    with pytest.raises(AnnotationError, match=r"a/1\.txt: .*are these pixels\?"):
        read_yolo_txt(save(tmp_path, {"a/1.txt": line}), classes=["a"], source=SOURCE)
    crowd = LINE * 3 + "0 1.6 0.5 0.2 0.2"  # reaches beyond the image
    assert (
        len(read_yolo_txt(save(tmp_path, {"a/1.txt": crowd}), classes=["a", "b"], source=SOURCE).videos[0].tubes) == 2
    )


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
    save(labels, {"a/6.txt": LINE})  # two are missing at the end
    assert read_yolo_txt(labels, classes=["a", "b"], source=source).videos[0].num_frames == 6
    save(labels, {"a/7.txt": LINE})
    with pytest.raises(VideoReadError, match="4 frames decode, but 7 are annotated"):
        read_yolo_txt(labels, classes=["a", "b"], source=source)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a/1.txt": "2 0.5 0.5 0.2 0.2"}, r"a/1\.txt: .*the class is none of 0 to 1; are the classes 1-based"),
        ({"a/1.txt": "-1 0.5 0.5 0.2 0.2"}, "none of 0 to 1"),
        ({"a/1.txt": "0.5 0.5 0.5 0.2 0.2"}, "none of 0 to 1"),
        ({"a/1.txt": "nan 0.5 0.5 0.2 0.2"}, "none of 0 to 1"),
        ({"a/1.txt": f"{10**400} 0.5 0.5 0.2 0.2"}, "none of 0 to 1"),
        ({"a/1.txt": "0 0.5 0.5 -0.1 0.2"}, "in fractions of the image"),
        ({"a/1.txt": "0 nan 0.5 0.1 0.2"}, "in fractions of the image"),
        ({"a/1.txt": "0 1e308 0.5 0.1 0.2"}, "in fractions of the image"),
        ({"a/1.txt": "0 0.5 0.5 0.1 1_0"}, "line 1: expected numbers"),
        ({"a/1.txt": LINE + "0 0.5 0.5 0.2"}, r"a/1\.txt: line 2: 4 values"),
        ({"a/1.txt": "0 0.1 0.1 0.2 0.2 0.3 0.3 0.4"}, "line 1: 8 values"),
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
    num_refused = 0
    for _ in range(200):
        broken = bytearray(original)
        broken[random.integers(len(broken))] = random.integers(256)
        path.write_bytes(broken)
        try:
            read_yolo_txt(folder, classes=["a", "b"], source=SOURCE)
        except StalError:
            num_refused += 1
    assert num_refused > 20
