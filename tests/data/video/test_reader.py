import contextlib
import inspect
import os
import re
import shutil
import struct
import uuid
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stal.data.video.reader import count_frames, damage_of, frame_rule, read_frames, readable_frames, video_facts
from stal.errors import ConfigError, DataNotFoundError, VideoReadError

NUM_FRAMES, HEIGHT, WIDTH = 40, 48, 64  # of the fixture `videos`
KINDS = (
    "closed.mp4", "b_frames.mp4", "closed.mkv", "closed.avi", "b_frames.avi", "trimmed.mp4", "trimmed_b_frames.mp4",
)  # fmt: skip

ACCESSES = {
    "one": [17],
    "last": [NUM_FRAMES - 1],
    "all": list(range(NUM_FRAMES)),
    "strided": list(range(13, NUM_FRAMES, 2)),
    "repeated at the ends": [0, 0, 0, 1, 38, 39, 39],
    "any order": [30, 2, 39, 2, 11, 12, 0],
    "array": np.array([5, 25, 24], dtype=np.uint8),
}


@pytest.mark.parametrize("indices", ACCESSES.values(), ids=ACCESSES)
@pytest.mark.parametrize("name", [*KINDS, "folder"])
def test_frames_are_those_of_a_sequential_decode(videos, decode_all, picture, numbers, name, indices):
    path = videos / name
    frames = read_frames(path, indices)
    assert frames.dtype == np.uint8
    assert numbers(frames) == list(indices)
    expected = np.stack([picture(i) for i in range(NUM_FRAMES)]) if name == "folder" else decode_all(path)
    np.testing.assert_array_equal(frames, expected[np.asarray(indices)])


@pytest.mark.parametrize("name", [*KINDS, "folder"])
def test_frames_are_counted(videos, name):
    assert count_frames(videos / name) == count_frames(str(videos / name)) == NUM_FRAMES
    assert frame_rule(videos / name, NUM_FRAMES) == "order"
    facts = video_facts(videos / name)
    assert (facts.num_frames, facts.height, facts.width) == (NUM_FRAMES, HEIGHT, WIDTH)
    assert facts.fps == (None if name == "folder" else 25)


def test_a_file_that_changes_is_read_anew(tmp_path, write_video):
    path = write_video(tmp_path / "a.avi")
    assert count_frames(path) == NUM_FRAMES
    write_video(path, num_frames=7)
    assert count_frames(path) == 7


@pytest.mark.parametrize(("rotation", "corner"), [(90, (-1, 0)), (180, (-1, -1)), (-90, (0, -1))])
def test_frames_are_turned_as_the_file_says(tmp_path, write_video, decode_all, rotation, corner):
    path = write_video(tmp_path / "a.mp4", "libx264", {"bf": "0"}, num_frames=2, rotation=rotation)
    (frame,) = read_frames(path, [1])
    assert frame.shape[:2] == ((WIDTH, HEIGHT) if rotation % 180 else (HEIGHT, WIDTH))
    assert frame[corner].min() > 200  # the lowest bit, which is drawn at the top left
    np.testing.assert_array_equal(frame, decode_all(path)[1])


@pytest.fixture
def show_by(videos, tmp_path):
    """Change the matrix by which an mp4 file is shown, which is (1, 0, 0, 1)."""

    def show(matrix):
        content = bytearray((videos / "closed.mp4").read_bytes())
        start = content.find(b"tkhd") + 4 + 40
        a, b, c, d = (65536 * number for number in matrix)
        content[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
        path = tmp_path / "shown.mp4"
        path.write_bytes(content)
        return path

    return show


@pytest.mark.parametrize("matrix", [(-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0), (0, -1, -1, 0), (0, 0, 0, 0)])
def test_a_picture_that_is_to_be_mirrored_is_an_error(show_by, matrix):
    with pytest.raises(VideoReadError, match=r"shown.mp4: its frames are to be shown mirrored, .*ffmpeg -i"):
        read_frames(show_by(matrix), [0])


def test_a_picture_that_is_to_be_turned_by_other_angles_is_an_error(show_by):
    with pytest.raises(VideoReadError, match=r"shown.mp4: is to be shown turned by -?45 degrees"):
        read_frames(show_by((1, 1, -1, 1)), [0])


def test_a_picture_with_wide_pixels_is_read_as_it_is_stored(show_by, numbers):
    assert numbers(read_frames(show_by((2, 0, 0, 1)), [30, 2])) == [30, 2]


def test_a_name_that_is_not_utf8_does_not_matter(tmp_path, videos, numbers):
    for name in (*KINDS, "folder"):
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xe9\xff" + name.encode()))
        (shutil.copytree if name == "folder" else shutil.copy)(videos / name, path)
        assert numbers(read_frames(path, [3, 30])) == [3, 30]


def test_a_missing_frame_is_held_where_the_times_have_a_gap(tmp_path, write_video, numbers):
    times = [0, 1, 2, 5, 6, 7, 8, 9, 10]
    path = write_video(tmp_path / "a.mp4", "libx264", {"bf": "0", "crf": "12"}, num_frames=9, times=times)
    assert frame_rule(path, 11) == "time"
    assert numbers(read_frames(path, range(11), num_frames=11)) == [0, 1, 2, 2, 2, 3, 4, 5, 6, 7, 8]
    assert numbers(read_frames(path, [3, 4])) == [3, 4]
    assert readable_frames(path, 11) == 11
    assert damage_of(path, 11) is None


def test_up_to_two_frames_missing_at_the_end_are_held(videos, numbers):
    for name in ("folder", "closed.avi"):
        assert frame_rule(videos / name, 42) == "clamp"
        assert readable_frames(videos / name, 42) == 40
        assert numbers(read_frames(videos / name, [41, 39, 38], num_frames=42)) == [39, 39, 38]


def test_a_file_that_is_replaced_by_one_of_its_size_and_time_says_what_to_do(tmp_path, write_video, videos):
    path = tmp_path / "a.avi"
    shutil.copy(videos / "closed.avi", path)
    assert count_frames(path) == NUM_FRAMES
    stat, content = path.stat(), write_video(path, num_frames=20).read_bytes()
    path.write_bytes(content.ljust(stat.st_size, b"\0"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_size == stat.st_size
    with pytest.raises(VideoReadError, match=r"a.avi: its frames are not those of its frame table.*`touch` it"):
        read_frames(path, [39])
    path.touch()
    assert count_frames(path) == 20


def test_a_title_in_another_encoding_does_not_matter(write_video, tmp_path):
    path = write_video(tmp_path / "titled.avi", num_frames=1, title="title")
    content = path.read_bytes()
    assert b"title" in content
    path.write_bytes(content.replace(b"title", b"\xe9\xff\xfele"))
    assert count_frames(path) == 1


@pytest.mark.parametrize("indices", [[0, 40], [-1], [0, 1, 400]])
@pytest.mark.parametrize("name", ["closed.avi", "folder"])
def test_frames_that_do_not_exist_are_named(videos, name, indices):
    with pytest.raises(VideoReadError, match=rf"{name}: there is no frame (40|-1|400); it has 40 frames, 0 to 39"):
        read_frames(videos / name, indices)


def test_frames_are_bounded_by_the_annotated_number(videos):
    with pytest.raises(VideoReadError, match="there is no frame 42; it has 42 frames"):
        read_frames(videos / "closed.avi", [42], num_frames=42)


def test_a_read_asks_for_at_least_one_frame(videos):
    with pytest.raises(VideoReadError, match="by a sequence of integers, at least one, not"):
        read_frames(videos / "closed.avi", [])


def test_choices_that_there_are_not_are_named(videos):
    read = inspect.unwrap(read_frames)  # without the tests' check of types
    with pytest.raises(ConfigError, match="backend 'ffmpeg' is none of pyav, decord, torchcodec"):
        read(videos / "closed.avi", [0], backend="ffmpeg")
    with pytest.raises(ConfigError, match="damaged 'skip' is none of error, keep"):
        read(videos / "closed.avi", [0], damaged="skip")


def make_missing(path, videos):
    pass


def make_zero_byte(path, videos):
    path.touch()


def make_text(path, videos):
    path.write_text("<!DOCTYPE html><p>404")


def make_random(path, videos):
    path.write_bytes(np.random.default_rng(0).bytes(20000))


def make_folder_without_frames(path, videos):
    path.mkdir()
    (path / "readme.txt").touch()


def make_cut_header(path, videos):
    path.write_bytes((videos / "closed.avi").read_bytes()[:1000])


def make_cut_index(path, videos):
    path.write_bytes((videos / "closed.mp4").read_bytes()[:-200])  # the index is at the end


def make_sound(path, videos):
    with av.open(str(path), "w", format="avi") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))


@pytest.mark.parametrize("damaged", ["error", "keep"])
@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (make_missing, DataNotFoundError, "there is no such video.*data/README.md"),
        (make_zero_byte, VideoReadError, r"the file is empty \(0 bytes\)"),
        (make_text, VideoReadError, "FFmpeg cannot decode it .Invalid data.*starts with b'<!DOCTYPE"),
        (make_random, VideoReadError, "FFmpeg cannot decode it.*the file has 20000 bytes"),
        (make_folder_without_frames, VideoReadError, "the folder has no frames"),
        (make_cut_header, VideoReadError, "FFmpeg cannot decode it|no frame that decodes|there is no video stream"),
        (make_cut_index, VideoReadError, "FFmpeg cannot decode it"),
        (make_sound, VideoReadError, "there is no video stream to read in this avi file"),
    ],
)
def test_what_is_no_video_is_an_error_that_says_what_it_is(tmp_path, videos, make, kind, message, damaged):
    path = tmp_path / "broken.avi"
    make(path, videos)
    for read in (
        count_frames,
        lambda path: read_frames(path, [0], damaged=damaged),
        lambda path: frame_rule(path, 9, damaged=damaged),
    ):
        with pytest.raises(kind, match=f"broken.avi: {message}"):
            read(path)


@pytest.fixture(scope="module")
def damaged_videos(videos, write_video, avi_chunks, tmp_path_factory):
    """Videos of 40 frames that are broken: name -> the file."""
    root = tmp_path_factory.mktemp("damaged")
    avi = (videos / "closed.avi").read_bytes()
    # As closed.mp4, byte by byte
    h264 = {"crf": "12", "g": "12", "keyint_min": "12", "sc_threshold": "0", "threads": "1", "mbtree": "0", "bf": "0"}
    mp4 = write_video(root / "cut.mp4", "libx264", h264, index_first=True).read_bytes()
    chunks = avi_chunks(avi)
    key_frame = chunks[12]
    contents = {
        "cut.avi": avi[: chunks[31] - 4],
        "without_its_last_frame.avi": avi[: chunks[39]],
        "without_frame_20.avi": avi[: chunks[20]] + bytes(chunks[21] - chunks[20]) + avi[chunks[21] :],
        "without_the_header_of_20.avi": avi[: chunks[20]] + bytes(4) + avi[chunks[20] + 4 :],
        "without_frame_0.avi": avi[: chunks[0]] + bytes(4) + avi[chunks[0] + 4 :],
        "stopping.avi": avi[: key_frame + 48] + b"\xff" * 20 + avi[key_frame + 68 :],
        "scratched.avi": avi[: key_frame + 70] + b"\xff" * 20 + avi[key_frame + 90 :],
        "cut.mp4": mp4[: len(mp4) * 3 // 4],
    }
    for name, content in contents.items():
        (root / name).write_bytes(content)
    return root


@pytest.mark.parametrize(
    ("name", "rule", "num_readable", "error", "damage"),
    [
        ("cut.avi", "cut", 29, "31 frames decode, but 40 are annotated", "broken or missing at frame 30; of 40"),
        ("without_its_last_frame.avi", "clamp", 39, None, "of 40 annotated frames the first 39 are readable"),
        ("without_frame_20.avi", "cut", 18, r"39 frames decode, but 40 .*at frame 19\)", "at frame 19; of 40"),
        ("without_the_header_of_20.avi", "cut", 18, r"39 frames decode, but 40 .*at frame 19\)", "at frame 19; of 40"),
        ("stopping.avi", "cut", 11, "decoding fails after 12 frames .*announces 40; download", "fails after 12 frames"),
        ("scratched.avi", "order", 40, None, "1 of its 40 frames are damaged, data is broken or missing at frame 12$"),
        ("cut.mp4", "cut", None, "frames decode, but 40 are annotated|decoding fails after", "are readable$"),
    ],
)
def test_a_damaged_video_is_an_error_or_gives_what_is_sure(
    damaged_videos, videos, decode_all, name, rule, num_readable, error, damage
):
    path = damaged_videos / name
    if error is None:
        assert frame_rule(path, 40) == rule
    else:
        with pytest.raises(VideoReadError, match=f"{name}: {error}"):
            read_frames(path, [0], num_frames=40)
        with pytest.raises(VideoReadError, match=f"{name}: {error}"):
            frame_rule(path, 40)
    assert frame_rule(path, 40, damaged="keep") == rule
    num_found = readable_frames(path, 40)
    assert num_found == num_readable or num_readable is None  # which depends on the version of the encoder
    assert num_found > 8
    frames = read_frames(path, range(40), num_frames=40, damaged="keep")
    expected = decode_all(path if rule == "order" else videos / f"closed{path.suffix}")
    np.testing.assert_array_equal(frames, expected[np.arange(40).clip(max=num_found - 1)])
    np.testing.assert_array_equal(read_frames(path, [33, 9], num_frames=40, damaged="keep"), frames[[33, 9]])
    assert re.search(damage, damage_of(path, 40))


def test_a_video_of_which_no_frame_is_sure_is_an_error(damaged_videos):
    for read in (readable_frames, damage_of, lambda path, length: frame_rule(path, length, damaged="keep")):
        with pytest.raises(VideoReadError, match=r"without_frame_0.avi: 39 frames decode, but 40 are annotated"):
            read(damaged_videos / "without_frame_0.avi", 40)


def test_more_frames_than_annotated_are_an_error_however_damage_is_taken(videos):
    for damaged in ("error", "keep"):
        with pytest.raises(VideoReadError, match=r"closed.avi: 40 frames decode, but 39 are annotated"):
            read_frames(videos / "closed.avi", [0], num_frames=39, damaged=damaged)


def test_decoded_frames_of_a_cut_video_are_counted_and_read(damaged_videos, decode_all):
    path = damaged_videos / "cut.avi"
    assert count_frames(path) == 31
    np.testing.assert_array_equal(read_frames(path, range(31)), decode_all(path))


def test_a_video_that_stops_decoding_has_no_length_but_can_be_read_up_to_there(damaged_videos, videos):
    path = damaged_videos / "stopping.avi"
    for read in (count_frames, video_facts, lambda path: read_frames(path, [0])):
        with pytest.raises(VideoReadError, match=r"stopping.avi: decoding fails after 12 frames .*announces 40"):
            read(path)
    frames = read_frames(path, range(12), damaged="keep")
    np.testing.assert_array_equal(frames, read_frames(videos / "closed.avi", range(12)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["closed.avi", "b_frames.avi", "closed.mp4", "closed.mkv"]),
    place=st.floats(0, 1, exclude_max=True),
    patch=st.binary(max_size=200),
    is_cut=st.booleans(),
)
def test_broken_bytes_raise_nothing_else(videos, tmp_path, name, place, patch, is_cut):
    content = (videos / name).read_bytes()
    start = int(place * len(content))
    path = tmp_path / f"{uuid.uuid4()}{name}"
    path.write_bytes(content[:start] + patch + (b"" if is_cut else content[start + len(patch) :]))
    with contextlib.suppress(VideoReadError):
        num_readable = readable_frames(path, NUM_FRAMES)
        assert 0 < num_readable <= NUM_FRAMES
        frames = read_frames(path, range(NUM_FRAMES), num_frames=NUM_FRAMES, damaged="keep")
        assert len(frames) == NUM_FRAMES
        if damage_of(path, NUM_FRAMES) is None:
            assert frame_rule(path, NUM_FRAMES) in ("order", "time")
