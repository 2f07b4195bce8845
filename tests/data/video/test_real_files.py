import av
import numpy as np
import pytest

from stal.data.ucf24 import read_ucf24
from stal.data.video.frame_table import frame_table
from stal.data.video.reader import count_frames, frame_rule, read_frames
from stal.errors import VideoReadError


def decode_all(path):
    """The reference: every frame, in order, without seeking."""
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_type = "NONE"
        frames = [np.rot90(f.to_ndarray(format="rgb24"), f.rotation // 90) for f in container.decode(video=0)]
    return np.stack(frames)


UNREADABLE = {
    "corrupt_header_real.avi",
    "random_bytes.mp4",
    "text.avi",
    "trunc1_real.avi",
    "trunc50_moovend.mp4",
    "zero_byte.avi",
}
WITHOUT_BARCODE = ("real", "jpeg_named", "png_named", "gif", "corrupt", "trunc", "zeroed", "rot180")


def barcodes(frames):
    """The frame numbers that the generated files carry: 12 blocks, least significant bit first."""
    size = min(20, frames.shape[2] // 12)
    rows, columns = slice(size // 4, size - size // 4), size // 2 + size * np.arange(12)
    bright = frames[:, rows][:, :, columns].mean(axis=(1, 3)) > 127
    return (bright << np.arange(12)).sum(axis=1).tolist()


def assert_reads_are_exact(path, rng, num_reads):
    expected = decode_all(path)
    assert count_frames(path) == len(expected)
    for _ in range(num_reads):
        start = rng.integers(len(expected))
        clip = (start + 2 * np.arange(32)).clip(max=len(expected) - 1)
        scattered = rng.integers(len(expected), size=4)
        for indices in (clip, scattered, clip[:1]):
            np.testing.assert_array_equal(read_frames(path, indices), expected[indices], err_msg=path.name)


@pytest.mark.data
def test_no_torture_file_gives_a_wrong_frame(shared):
    rng = np.random.default_rng(0)
    for path in sorted((shared / "media/torture").iterdir()):
        if path.name in UNREADABLE:
            with pytest.raises(VideoReadError, match=path.name):
                count_frames(path)
            continue
        num_frames = count_frames(path)
        if not path.name.startswith(WITHOUT_BARCODE):
            indices = np.unique(rng.integers(min(num_frames, 600), size=24))
            assert barcodes(read_frames(path, indices)) == indices.tolist(), path.name
        if num_frames < 1000:
            assert_reads_are_exact(path, rng, num_reads=2)


@pytest.mark.data
def test_no_real_file_gives_a_wrong_frame(shared):
    rng = np.random.default_rng(1)
    paths = sorted((shared / "media/ucf24_real/videos").glob("*/*.avi"))[::12]
    small = [path for path in sorted((shared / "media/other").iterdir()) if frame_table(path).width <= 640]
    for path in small + paths:
        assert_reads_are_exact(path, rng, num_reads=1)


@pytest.mark.data
def test_decord_gives_no_wrong_frame_of_a_file_that_it_is_used_for(shared):
    pytest.importorskip("decord")
    num_read = 0
    for path in sorted((shared / "media/torture").iterdir()):
        if path.name in UNREADABLE or path.name.startswith(WITHOUT_BARCODE) or not frame_table(path).decord_is_exact:
            continue
        indices = np.random.default_rng(2).integers(count_frames(path), size=12)
        assert barcodes(read_frames(path, indices, backend="decord")) == indices.tolist(), path.name
        num_read += 1
    assert num_read >= 6


@pytest.mark.data
def test_every_real_video_maps_onto_its_annotation(shared):
    annotations = read_ucf24(
        video_root=shared / "media/ucf24_real/videos",
        annotation_file=shared / "annotations/ucf24/pyannot.pkl",
        test_list=shared / "annotations/ucf24/testlist01.txt",
        allow_missing=True,
    )
    by_time = {v.key: v for v in annotations.videos if frame_rule(v.path, v.num_frames) != "order"}
    missing = {key: video.num_frames - count_frames(video.path) for key, video in by_time.items()}
    assert len(missing) == 7
    assert sorted(missing.values()) == [1, 1, 1, 1, 1, 1, 6]
    assert {frame_rule(v.path, v.num_frames) for v in by_time.values()} == {"time"}
    video = by_time["Biking/v_Biking_g22_c03"]
    with av.open(str(video.path)) as container:
        shown = {frame.pts: frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)}
    indices = np.arange(55, 80)
    frames = read_frames(video.path, indices, num_frames=video.num_frames)
    for index, frame in zip(indices, frames, strict=True):
        np.testing.assert_array_equal(frame, shown[max(time for time in shown if time <= index)])


@pytest.mark.data
def test_a_real_clip_equals_its_folder_of_frames_in_order(shared):
    video = shared / "media/jhmdb_real/Goal_Keeping_Tips_catch_f_cm_np1_fr_med_2.avi"
    folder = shared / "media/jhmdb_real/Goal_Keeping_frames"
    assert frame_rule(video, 40) == frame_rule(folder, 40) == "order"
    difference = read_frames(video, range(40)).astype(int) - read_frames(folder, range(40))
    assert np.abs(difference).mean() < 3
