"""What is learnt of videos: which file is one, and how long it is in the count of the annotation."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from stal.data.formats import video_source
from stal.data.formats.video_source import VideoSource
from stal.data.video.reader import frame_rule
from stal.errors import AnnotationError, DataNotFoundError, VideoReadError


def frames(folder: Path, num_frames: int = 1) -> Path:
    folder.mkdir(parents=True)
    for number in range(1, num_frames + 1):
        cv2.imwrite(str(folder / f"{number:05d}.png"), np.zeros((24, 32, 3), np.uint8))
    return folder


def video(path: Path, times: list[int]) -> Path:
    """A lossless video of 25 frames a second, with frames at some times."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        for time in times:
            frame = av.VideoFrame.from_ndarray(np.full((24, 32, 3), time, np.uint8))
            frame.pts = time
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


GAPS = [0, 1, 2, 4, 5, 6, 7]  # 7 frames that last for 8


def path_of(root: Path, key: str) -> Path:
    return VideoSource(root=root).facts(key, num_frames=1, owner="a.json").path


@pytest.mark.parametrize("key", ["camB/0001", "camB/0001.mkv", "0001", "0001.mkv", "day/camB/0001"])
def test_a_video_is_found_by_its_key_its_name_or_the_end_of_its_path(tmp_path: Path, key: str) -> None:
    path = video(tmp_path / "day/camB/0001.mkv", [0, 1])
    assert path_of(tmp_path, key) == path


@pytest.mark.parametrize("key", ["camA/0001", "B/0001", "camB/1", "x/camB/0001", "", ".", "../day/camB/0001"])
def test_a_video_of_another_folder_is_not_taken(tmp_path: Path, key: str) -> None:
    video(tmp_path / "day/camB/0001.mkv", [0, 1])
    with pytest.raises(DataNotFoundError, match=r"a\.json: video .* is not in"):
        path_of(tmp_path, key)


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    for folder in "ab":
        video(tmp_path / folder / "c/0001.mkv", [0, 1])
    with pytest.raises(DataNotFoundError, match=r" 2 times, as .*a/c/0001\.mkv and .*b/c/0001\.mkv"):
        path_of(tmp_path, "c/0001")
    assert path_of(tmp_path, "b/c/0001") == tmp_path / "b/c/0001.mkv"


def test_two_keys_never_get_one_file(tmp_path: Path) -> None:
    video(tmp_path / "camB/0001.mkv", [0, 1])
    source = VideoSource(root=tmp_path)
    for key in ("0001", "0001.mkv"):  # two names of one key
        source.facts(key, num_frames=1, owner="a.json")
    with pytest.raises(AnnotationError, match=r"a\.json: the videos 0001 and camB/0001 would both be .*camB/0001\.mkv"):
        source.facts("camB/0001", num_frames=1, owner="a.json")


def test_a_folder_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = []
    monkeypatch.setattr(
        video_source, "list_videos", lambda folder, list=video_source.list_videos: listed.append(folder) or list(folder)
    )
    for number in range(3):
        frames(tmp_path / f"{number}")
    source = VideoSource(root=tmp_path)
    for number in range(3):
        source.facts(f"{number}", num_frames=1, owner="a.json")
    assert listed == [tmp_path]


@pytest.mark.parametrize(
    ("needed", "num_frames", "rule"),
    [(0, 7, "order"), (5, 7, "order"), (7, 7, "order"), (8, 8, "time")],
)
def test_a_video_with_gaps_has_the_frames_that_are_annotated(
    tmp_path: Path, needed: int, num_frames: int, rule: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = video(tmp_path / "a.mkv", GAPS)
    facts = VideoSource(root=tmp_path).facts("a", num_frames=needed, owner="a.json")
    assert (facts.num_frames, facts.num_slots, frame_rule(path, facts.num_frames)) == (num_frames, 8, rule)
    assert ("decodes to 7 frames but lasts for 8" in caplog.text) == (needed == 5)  # then it is not sure which


@pytest.mark.parametrize(("needed", "num_frames"), [(1, 5), (5, 5), (6, 6), (7, 7)])
def test_one_or_two_frames_may_be_missing_at_the_end(
    tmp_path: Path, needed: int, num_frames: int, caplog: pytest.LogCaptureFixture
) -> None:
    frames(tmp_path / "a", 5)
    facts = VideoSource(root=tmp_path).facts("a", num_frames=needed, owner="a.json")
    assert facts.num_frames == num_frames
    assert (f"decodes to 5 frames, but {needed} are annotated (rule clamp)" in caplog.text) == (needed > 5)


def test_an_annotation_of_more_frames_is_an_error_with_both_counts(tmp_path: Path) -> None:
    frames(tmp_path / "a", 5)
    with pytest.raises(VideoReadError, match=r"a\.json: video a: .*5 frames decode, but 8 are annotated"):
        VideoSource(root=tmp_path).facts("a", num_frames=8, owner="a.json")


def test_seconds_become_frames_by_the_times_of_the_video(tmp_path: Path) -> None:
    video(tmp_path / "a.mkv", GAPS)
    video(tmp_path / "varying.mkv", [0, 1, 5, 7, 20])
    frames(tmp_path / "folder", 5)
    source = VideoSource(root=tmp_path)
    seconds = np.array([0, 0.2, 0.28])
    for key, fps, expected, num_frames in (
        ("a", None, [0, 5, 7], 8),
        ("a", 50.0, [0, 5, 7], 8),  # the times of its frames go before a rate
        ("varying", None, [0, 2, 3], 5),
        ("folder", 10.0, [0, 2, 2], 5),
    ):
        facts, found = source.facts_at(key, seconds, fps=fps, owner="a.json")
        assert (facts.num_frames, found.tolist()) == (num_frames, expected), key
    with pytest.raises(VideoReadError, match="give its rate"):
        source.facts_at("folder", seconds, fps=None, owner="a.json")
    facts, found = VideoSource(size=(24, 32)).facts_at("b", seconds, fps=25.0, owner="a.json")
    assert (facts.num_frames, found.tolist()) == (8, [0, 5, 7])


def test_a_time_behind_the_end_is_an_error(tmp_path: Path) -> None:
    video(tmp_path / "a.mkv", [0, 1, 2])
    source = VideoSource(root=tmp_path)
    with pytest.raises(VideoReadError, match=r"a\.json: video a: .*3 frames decode, but 26 are annotated"):
        source.facts_at("a", np.array([1.0]), fps=None, owner="a.json")
    for other in (source, VideoSource(size=(24, 32))):
        with pytest.raises(AnnotationError, match=r"a\.json: video a: 1e\+30 seconds are in no video"):
            other.facts_at("a", np.array([1e30]), fps=25.0, owner="a.json")
