import dataclasses
import shutil
import sys

import av
import cv2
import numpy as np
import pytest

from stal.data.video import reader as video_module
from stal.data.video.frame_table import frame_table, map_frames
from stal.data.video.reader import count_frames, frame_rule, read_frames
from stal.errors import DataNotFoundError, VideoReadError

NUM_FRAMES, HEIGHT, WIDTH = 40, 48, 64
H264 = {"crf": "12", "g": "12", "keyint_min": "12"}


def picture(index):
    """A frame that shows its number: six columns, bright where the bit is set, above a bar that moves."""
    frame = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
    for bit in range(6):
        frame[:24, 8 * bit : 8 * bit + 8] = 235 if index >> bit & 1 else 16
    frame[30:42, index : index + 12] = (220, 40, 40)
    return frame


def write_video(path, codec, options, *, num_frames=NUM_FRAMES, rotation=0, times=None):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.options = WIDTH, HEIGHT, "yuv420p", options
        if rotation:
            stream.set_display_rotation(rotation)
        for index in range(num_frames):
            frame = av.VideoFrame.from_ndarray(picture(index))
            frame.pts = index if times is None else times[index]
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def decode_all(path):
    """The reference: every frame, in order, without seeking."""
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_type = "NONE"
        frames = [np.rot90(f.to_ndarray(format="rgb24"), f.rotation // 90) for f in container.decode(video=0)]
    return np.stack(frames)


def numbers(frames):
    bits = frames[:, 6:18, 4 : 4 + 6 * 8 : 8].mean(axis=(1, 3)) > 125
    return (bits << np.arange(6)).sum(axis=1).tolist()


KINDS = {
    "closed.mp4": ("libx264", H264 | {"bf": "0"}),
    "b_frames.mp4": ("libx264", H264 | {"bf": "3"}),
    "closed.mkv": ("libx264", H264 | {"bf": "0"}),
    "closed.avi": ("mpeg4", {"g": "12", "qscale": "2"}),
    "b_frames.avi": ("mpeg4", {"g": "12", "bf": "2", "qscale": "2"}),
}


@pytest.fixture(scope="session")
def videos(tmp_path_factory):
    """One short video of every kind, and a folder of frames."""
    root = tmp_path_factory.mktemp("videos")
    for name, (codec, options) in KINDS.items():
        write_video(root / name, codec, options)
    (root / "folder").mkdir()
    for index in range(NUM_FRAMES):
        cv2.imwrite(str(root / f"folder/{index + 1:05d}.png"), picture(index)[..., ::-1])
    return root


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
def test_frames_are_those_of_a_sequential_decode(videos, name, indices):
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


@pytest.mark.parametrize("name", KINDS)
def test_only_files_without_b_frames_are_sought_in(videos, name):
    table = frame_table(videos / name)
    assert table.is_seekable is name.startswith("closed")
    assert table.decord_is_exact is (name in ("closed.mp4", "closed.avi"))
    assert table.key_frames[:3].tolist() == [0, 12, 24]


def test_a_seek_starts_at_the_key_frame_before_the_first_frame_wanted(videos, monkeypatch):
    starts = []
    decode_pass = video_module._decode_pass

    def spy(path, table, ordinals, start):
        starts.append(start)
        return decode_pass(path, table, ordinals, start)

    monkeypatch.setattr(video_module, "_decode_pass", spy)
    for indices in ([26, 38], [24], [23], [3]):
        read_frames(videos / "closed.avi", indices)
    read_frames(videos / "b_frames.avi", [26])
    assert starts == [24, 24, 12, 0, 0]


def test_a_seek_that_lands_elsewhere_is_noticed_and_decoded_from_the_start(videos, monkeypatch):
    table = frame_table(videos / "closed.avi")
    monkeypatch.setattr(video_module, "frame_table", lambda path: dataclasses.replace(table, key_frames=np.arange(40)))
    assert numbers(read_frames(videos / "closed.avi", [20, 30])) == [20, 30]


def test_a_file_that_changes_is_read_anew(tmp_path):
    path = write_video(tmp_path / "a.avi", "mpeg4", {})
    assert count_frames(path) == NUM_FRAMES
    write_video(path, "mpeg4", {}, num_frames=7)
    assert count_frames(path) == 7


@pytest.mark.parametrize(("rotation", "corner"), [(90, (-1, 0)), (180, (-1, -1)), (-90, (0, -1))])
def test_frames_are_turned_as_the_file_says(tmp_path, rotation, corner):
    path = write_video(tmp_path / "a.mp4", "libx264", {"bf": "0"}, num_frames=2, rotation=rotation)
    (frame,) = read_frames(path, [1])
    assert frame.shape[:2] == ((WIDTH, HEIGHT) if rotation % 180 else (HEIGHT, WIDTH))
    assert frame[corner].min() > 200  # the lowest bit, which is drawn at the top left
    np.testing.assert_array_equal(frame, decode_all(path)[1])


@pytest.mark.parametrize(
    ("times", "num_frames", "rule", "ordinals"),
    [
        ([0, 1, 2], 3, "order", [0, 1, 2]),
        ([0], 1, "order", [0]),
        ([2, 0, 1], 3, "order", [0, 1, 2]),
        ([0, 1, 4, 5], 6, "time", [0, 1, 1, 1, 2, 3]),
        ([500, 1000, 2000], 4, "time", [0, 1, 1, 2]),
        ([0, 1, 2], 4, "clamp", [0, 1, 2, 2]),
        ([0, 1, 2], 5, "clamp", [0, 1, 2, 2, 2]),
        ([0], 3, "clamp", [0, 0, 0]),
        ([0, 2, 1], 4, "clamp", [0, 1, 2, 2]),
    ],
)
def test_annotated_frames_map_to_decoded_ones(tmp_path, times, num_frames, rule, ordinals):
    found = map_frames(np.array(times), num_frames, tmp_path)
    assert (found[0], found[1].tolist()) == (rule, ordinals)


@pytest.mark.parametrize(("times", "num_frames"), [([0, 1, 2], 6), ([0, 1, 2], 2), ([0, 1, 7], 6), ([0, 2, 1], 6)])
def test_frames_that_no_rule_explains_are_an_error_with_both_counts(tmp_path, times, num_frames):
    with pytest.raises(VideoReadError, match=f"a.avi: {len(times)} frames decode, but {num_frames} are annotated"):
        map_frames(np.array(times), num_frames, tmp_path / "a.avi")


def test_a_missing_frame_is_held_where_the_times_have_a_gap(tmp_path):
    path = write_video(
        tmp_path / "a.mp4", "libx264", H264 | {"bf": "0"}, num_frames=9, times=[0, 1, 2, 5, 6, 7, 8, 9, 10]
    )
    assert frame_rule(path, 11) == "time"
    assert numbers(read_frames(path, range(11), num_frames=11)) == [0, 1, 2, 2, 2, 3, 4, 5, 6, 7, 8]
    assert numbers(read_frames(path, [3, 4])) == [3, 4]


def test_up_to_two_frames_missing_at_the_end_are_held(videos):
    assert frame_rule(videos / "folder", 42) == frame_rule(videos / "closed.avi", 42) == "clamp"
    assert numbers(read_frames(videos / "closed.avi", [41, 39, 38], num_frames=42)) == [39, 39, 38]


def test_a_title_in_another_encoding_does_not_matter(videos, tmp_path):
    with av.open(str(tmp_path / "titled.avi"), "w") as container:
        container.metadata["title"] = "title"
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(0))))
        container.mux(stream.encode())
    content = (tmp_path / "titled.avi").read_bytes()
    assert b"title" in content
    (tmp_path / "titled.avi").write_bytes(content.replace(b"title", b"\xe9\xff\xfele"))
    assert count_frames(tmp_path / "titled.avi") == 1


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
def test_what_is_no_video_is_an_error_that_says_what_it_is(tmp_path, videos, make, kind, message):
    path = tmp_path / "broken.avi"
    make(path, videos)
    for read in (count_frames, lambda path: read_frames(path, [0]), lambda path: frame_rule(path, 9)):
        with pytest.raises(kind, match=f"broken.avi: {message}"):
            read(path)


def test_a_video_that_was_cut_off_is_at_odds_with_its_annotation(tmp_path, videos):
    whole = (videos / "closed.avi").read_bytes()
    path = tmp_path / "cut.avi"
    path.write_bytes(whole[: len(whole) * 3 // 4])
    num_decoded = count_frames(path)
    assert 1 < num_decoded < NUM_FRAMES - 2
    np.testing.assert_array_equal(read_frames(path, range(num_decoded)), decode_all(path))
    with pytest.raises(VideoReadError, match=f"cut.avi: {num_decoded} frames decode, but {NUM_FRAMES} are annotated"):
        read_frames(path, [0], num_frames=NUM_FRAMES)


def damage_a_key_frame(video, path, start):
    content = bytearray(video.read_bytes())
    frames = [i for i in range(len(content)) if content[i : i + 4] == b"00dc"][1:]  # the first is in the header
    content[frames[12] + start : frames[12] + start + 20] = b"\xff" * 20
    path.write_bytes(content)
    return path


def test_a_damaged_video_is_logged_and_never_sought_in(tmp_path, videos, caplog):
    path = damage_a_key_frame(videos / "closed.avi", tmp_path / "damaged.avi", start=70)
    table = frame_table(path)
    assert table.num_damaged == 1
    assert not table.is_seekable
    assert not table.decord_is_exact
    assert "damaged.avi: 1 of its 40 frames are damaged" in caplog.text
    np.testing.assert_array_equal(read_frames(path, [26, 38]), decode_all(path)[[26, 38]])


def test_a_video_that_stops_decoding_says_after_how_many_frames(tmp_path, videos):
    path = damage_a_key_frame(videos / "closed.avi", tmp_path / "damaged.avi", start=48)
    with pytest.raises(VideoReadError, match=r"damaged.avi: decoding fails after 12 frames .*the file announces 40"):
        read_frames(path, [0])


def drop_frame(folder):
    (folder / "00007.png").unlink()
    (folder / "00030.png").unlink()


def drop_first_frames(folder):
    (folder / "00001.png").unlink()
    (folder / "00002.png").unlink()


def add_twin(folder):
    shutil.copy(folder / "00003.png", folder / "3.jpg")


def add_unnumbered(folder):
    shutil.copy(folder / "00003.png", folder / "cover.png")


def add_foreign(folder):
    shutil.copy(folder / "00040.png", folder / "other_00041.png")


def break_image(folder):
    (folder / "00003.png").write_bytes(b"PNG")


def resize_image(folder):
    cv2.imwrite(str(folder / "00003.png"), np.zeros((9, 9, 3), np.uint8))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (drop_frame, "2 of the frames up to 40 are missing, the first is number 7"),
        (drop_first_frames, "are missing, the first is number 1"),
        (add_twin, "are both frame 3"),
        (add_unnumbered, "cover.png: a frame is named by its number"),
        (add_foreign, "frames of several videos"),
        (break_image, r"00003.png: not an image that can be decoded \(3 bytes\)"),
        (resize_image, "00003.png: 9 x 9 pixels, but 00001.png has 64 x 48"),
    ],
)
def test_a_damaged_folder_of_frames_is_an_error_that_names_the_frame(tmp_path, videos, damage, message):
    folder = shutil.copytree(videos / "folder", tmp_path / "folder")
    damage(folder)
    with pytest.raises(VideoReadError, match=message):
        read_frames(folder, [0, 2])


@pytest.mark.parametrize("first", [0, 1])
def test_a_folder_may_count_from_zero_or_one_without_leading_zeros(tmp_path, first):
    for index in range(12):
        cv2.imwrite(str(tmp_path / f"img_{index + first}.png"), picture(index)[..., ::-1])
    assert numbers(read_frames(tmp_path, [1, 2, 10])) == [1, 2, 10]


def test_decord_reads_the_files_that_it_reads_right(videos):
    pytest.importorskip("decord")
    for name in ("closed.avi", "closed.mp4"):
        assert numbers(read_frames(videos / name, [30, 2, 39, 2], backend="decord")) == [30, 2, 39, 2]


def test_decord_refuses_other_files(videos):
    for name in ("b_frames.avi", "b_frames.mp4", "closed.mkv"):
        with pytest.raises(VideoReadError, match=r"decord may return wrong frames.*backend='pyav'"):
            read_frames(videos / name, [0], backend="decord")


def test_decord_is_needed_only_where_it_is_asked_for(videos, monkeypatch):
    monkeypatch.setitem(sys.modules, "decord", None)
    assert numbers(read_frames(videos / "closed.avi", [3])) == [3]
    with pytest.raises(VideoReadError, match="pip install decord"):
        read_frames(videos / "closed.avi", [3], backend="decord")
