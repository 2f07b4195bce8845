import re
from typing import NamedTuple

import av
import numpy as np
import pytest

from stal.data.ucf24 import read_ucf24
from stal.data.video.av_file import OPEN_ARGUMENTS
from stal.data.video.frame_table import frame_table
from stal.data.video.reader import count_frames, damage_of, frame_rule, read_frames, readable_frames
from stal.errors import VideoReadError

BOTH, TORCHCODEC, NONE = ("decord", "torchcodec"), ("torchcodec",), ()


class Outcome(NamedTuple):
    """What reading a file gives.

    `error`: None, or how the error with damaged="error" begins. `kept`: number of frames that damaged="keep" finds
    readable; None for the same error. `source`: the whole file of which this is a part; `backends`: which read it too.
    """

    num_frames: int
    error: str | None = None
    kept: int | None = None
    damage: str | None = None
    source: str | None = None
    has_barcode: bool = True
    backends: tuple[str, ...] = NONE


def whole(num_frames, backends=NONE, *, has_barcode=True, damage=None):
    return Outcome(num_frames, kept=num_frames, damage=damage, has_barcode=has_barcode, backends=backends)


def cut(num_frames, num_decoded, kept, source=None):
    error = f"{num_decoded} frames decode, but {num_frames} are annotated"
    return Outcome(num_frames, error, kept, f"the first {kept} are readable", source, source is None)


def unreadable(error):
    return Outcome(1, error)


UCF = "torture/real_ucf.avi"
FILES = {
    "torture/audio_after.mp4": whole(90),
    "torture/audio_first.mp4": whole(90),
    "torture/av1.mp4": whole(90, TORCHCODEC),
    "torture/corrupt_header_real.avi": unreadable("there is no video stream to read in this avi file"),
    "torture/corrupt_mid_h264.mp4": whole(90, has_barcode=False, damage="24 of its 90 frames are damaged"),
    "torture/corrupt_mid_real.avi": cut(141, 140, 42, UCF),  # one is lost in the middle
    "torture/faststart.mp4": whole(90),
    "torture/ffv1.mkv": whole(40, TORCHCODEC),
    "torture/fragmented.mp4": whole(90),
    "torture/gif.gif": whole(30, has_barcode=False),
    "torture/h264.ts": whole(90),
    "torture/h264_10bit.mp4": whole(90),
    "torture/h264_318x238.mp4": whole(90),
    "torture/h264_444_odd321x241.mp4": whole(90),
    "torture/h264_bframes_closed.mp4": whole(90),
    "torture/h264_gop12.mp4": whole(90, BOTH),
    "torture/h264_in.avi": whole(90),
    "torture/h264_intrarefresh.mp4": whole(90),
    "torture/h264_longgop3000.mp4": whole(3000),
    "torture/h264_opengop_b.mp4": whole(90),
    "torture/hevc.mp4": whole(90),
    "torture/jpeg_named.avi": whole(1, has_barcode=False),
    "torture/mjpeg.avi": whole(90, BOTH),
    "torture/mpeg1.mpg": whole(90),
    "torture/mpeg2.mpg": whole(90),
    "torture/mpeg4_176x144.avi": whole(90, BOTH),
    "torture/mpeg4_longgop300.avi": whole(400, BOTH),
    "torture/mpeg4_odd321x241.avi": whole(90),
    "torture/mpeg4_xvid_gop12.avi": whole(90, BOTH),
    "torture/one_frame.avi": whole(1, BOTH),
    "torture/one_frame.mp4": whole(1),
    "torture/png_named.mp4": whole(1, has_barcode=False),
    "torture/prores.mov": whole(40),
    "torture/random_bytes.mp4": unreadable("FFmpeg cannot decode it"),
    "torture/real_jhmdb.avi": whole(40, TORCHCODEC, has_barcode=False),  # its header says 48
    "torture/real_packedB.avi": whole(164, has_barcode=False),
    "torture/real_ucf.avi": whole(141, BOTH, has_barcode=False),
    "torture/rot180.mp4": whole(90, TORCHCODEC, has_barcode=False),  # turned, the barcode is at the bottom
    "torture/start_pts_5s.mkv": whole(90, TORCHCODEC),
    "torture/start_pts_5s.mp4": whole(90, BOTH),
    "torture/text.avi": unreadable("FFmpeg cannot decode it"),
    "torture/trunc10_real.avi": cut(141, 13, 11, UCF),
    "torture/trunc10_syn.avi": Outcome(90, "1 frames decode, but 90 are annotated"),  # and that one is damaged
    "torture/trunc1_real.avi": unreadable("FFmpeg cannot decode it"),
    "torture/trunc50_moovend.mp4": unreadable("FFmpeg cannot decode it"),
    "torture/trunc50_real.avi": cut(141, 73, 71, UCF),
    "torture/trunc50_syn.avi": cut(90, 37, 35),
    "torture/trunc70.mkv": cut(90, 61, 45),
    "torture/trunc90_real.avi": cut(141, 129, 127, UCF),
    "torture/trunc90_syn.avi": cut(90, 83, 81),
    "torture/trunc99_real.avi": whole(141, has_barcode=False, damage="1 of its 141 frames are damaged"),
    "torture/trunc99_syn.avi": whole(90, BOTH),  # only the index is cut off
    "torture/two_frames.mp4": whole(2),
    "torture/vfr.mp4": whole(90),
    "torture/vp9.webm": whole(90, TORCHCODEC),
    "torture/vp9_altref.webm": whole(90, TORCHCODEC),
    "torture/zero_byte.avi": unreadable("the file is empty (0 bytes)"),
    "torture/zeroed20k_real.avi": cut(141, 130, 71, UCF),
    "other/abseiling_k400.mp4": whole(250, has_barcode=False),
    "other/mmaction2_S001C001P001R001A001_rgb.avi": whole(103, has_barcode=False),
    "other/mmaction2_demo.mp4": whole(280, has_barcode=False),
    "other/mmaction2_demo_skeleton.mp4": whole(72, TORCHCODEC, has_barcode=False),
    "other/mmaction2_demo_spatiotemporal_det.mp4": whole(57, has_barcode=False),
    "other/mmaction2_part_0.mp4": whole(32, has_barcode=False),
    "other/mmaction2_test.mp4": whole(300, has_barcode=False),
    "other/mmaction2_test_video_structuralize.mp4": whole(300, has_barcode=False),
    "other/v_ApplyEyeMakeup_g01_c01.avi": whole(164, has_barcode=False),
    "other/v_BaseballPitch_g01_c01.avi": whole(107, BOTH, has_barcode=False),
    "other/v_Basketball_g01_c01.avi": whole(141, BOTH, has_barcode=False),
    "other/v_SumoWrestling_g22_c03.avi": whole(275, has_barcode=False),
    "jhmdb_real/Goal_Keeping_Tips_catch_f_cm_np1_fr_med_2.avi": whole(40, TORCHCODEC, has_barcode=False),
}
_MAX_BYTES = 2**27  # of frames that a test compares


def decode(path, wanted):
    """The reference: decode in order, without seeking, and take some frames."""
    with av.open(str(path), **OPEN_ARGUMENTS) as container:
        container.streams.video[0].codec_context.thread_type = "NONE"
        frames = {}
        for ordinal, frame in enumerate(container.decode(video=0)):
            if ordinal in wanted:
                frames[ordinal] = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
    return frames


def barcodes(frames):
    """The frame numbers that the generated files carry: 12 blocks, least significant bit first."""
    size = min(20, frames.shape[2] // 12)
    rows, columns = slice(size // 4, size - size // 4), size // 2 + size * np.arange(12)
    bright = frames[:, rows][:, :, columns].mean(axis=(1, 3)) > 127
    return (bright << np.arange(12)).sum(axis=1).tolist()


def draw_reads(path, num_frames, num_reads, seed=0):
    """Strided clips and scattered frames."""
    table = frame_table(path)
    max_frames = max(1, _MAX_BYTES // (table.height * table.width * 3))
    rng = np.random.default_rng(seed)
    num_reads = num_reads if table.width < 1000 else 1
    starts = rng.integers(num_frames, size=num_reads)
    clips = [(start + 2 * np.arange(32)).clip(max=num_frames - 1)[:max_frames] for start in starts]
    scattered = [rng.integers(num_frames, size=min(8, max_frames)) for _ in range(num_reads)]
    return [*clips, *scattered, np.array([num_frames - 1])]


def assert_reads_are_exact(path, num_frames, *, num_reads, source=None, kept=None, **options):
    """Compare frames with those of a sequential decode of the whole video; behind `kept` stands the last one kept."""
    reads = draw_reads(path, num_frames, num_reads)
    held = [indices.clip(max=(kept or num_frames) - 1) for indices in reads]
    expected = decode(source or path, set(np.concatenate(held).tolist()))
    for indices, shown in zip(reads, held, strict=True):
        frames = read_frames(path, indices, num_frames=num_frames, **options)
        np.testing.assert_array_equal(frames, np.stack([expected[ordinal] for ordinal in shown.tolist()]))


def skip_unless_it_loads(backend):
    try:
        __import__("decord" if backend == "decord" else "torchcodec.decoders")
    except (ImportError, OSError, RuntimeError) as error:
        pytest.skip(f"{backend} does not load: {str(error).splitlines()[:1]}")


def assert_backend_is_exact(path, num_frames, backend, *, num_reads):
    """Compare frames with ours, which they equal but for rounding in the first group of some files."""
    for indices in draw_reads(path, num_frames, num_reads, seed=1):
        frames = read_frames(path, indices, backend=backend)
        difference = np.abs(frames.astype(np.int16) - read_frames(path, indices))
        assert difference.max() <= 2, f"{backend}: {indices}"


@pytest.mark.data
def test_the_table_names_every_file(shared):
    media = shared / "media"
    files = {f"{path.parent.name}/{path.name}" for name in ("torture", "other") for path in (media / name).iterdir()}
    assert {name for name in FILES if not name.startswith("jhmdb")} == files


@pytest.mark.data
@pytest.mark.parametrize("name", FILES)
def test_a_file_gives_every_frame_right_or_an_error(shared, name):
    path, outcome = shared / "media" / name, FILES[name]
    num_frames = outcome.num_frames
    if outcome.error is None:
        assert count_frames(path) == num_frames
        assert frame_rule(path, num_frames) == "order"
        assert_reads_are_exact(path, num_frames, num_reads=2)
    else:
        for read in (frame_rule, lambda path, length: read_frames(path, [0], num_frames=length)):
            with pytest.raises(VideoReadError, match=re.escape(f"{path.name}: {outcome.error}")):
                read(path, num_frames)
    if outcome.has_barcode and outcome.kept:
        indices = np.random.default_rng(0).integers(min(num_frames, 600), size=24)
        frames = read_frames(path, indices, num_frames=num_frames, damaged="keep")
        assert barcodes(frames) == indices.clip(max=outcome.kept - 1).tolist()


@pytest.mark.data
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_gives_what_is_sure_if_that_is_asked_for(shared, name):
    path, outcome = shared / "media" / name, FILES[name]
    num_frames = outcome.num_frames
    if outcome.kept is None:
        for read in (readable_frames, damage_of, lambda path, length: frame_rule(path, length, damaged="keep")):
            with pytest.raises(VideoReadError, match=re.escape(f"{path.name}: {outcome.error}")):
                read(path, num_frames)
        return
    assert readable_frames(path, num_frames) == outcome.kept
    assert (outcome.damage or "None") in str(damage_of(path, num_frames))
    assert frame_rule(path, num_frames, damaged="keep") == ("order" if outcome.error is None else "cut")
    source = None if outcome.source is None else shared / "media" / outcome.source
    if outcome.error is not None:
        assert_reads_are_exact(path, num_frames, num_reads=2, source=source, kept=outcome.kept, damaged="keep")


@pytest.mark.data
@pytest.mark.parametrize("backend", BOTH)
@pytest.mark.parametrize("name", FILES)
def test_a_backend_gives_every_frame_right_or_refuses_the_file(shared, name, backend):
    path, outcome = shared / "media" / name, FILES[name]
    if backend in outcome.backends:
        skip_unless_it_loads(backend)
        assert_backend_is_exact(path, outcome.num_frames, backend, num_reads=2)
    else:
        refusal = re.escape(outcome.error or f"{backend} may return wrong frames")
        with pytest.raises(VideoReadError, match=f"{path.name}: {refusal}"):
            read_frames(path, [0], num_frames=outcome.num_frames, backend=backend)


@pytest.fixture(scope="module")
def ucf_videos(shared):
    """The annotated videos of UCF101-24 that are there."""
    return read_ucf24(
        video_root=shared / "media/ucf24_real/videos",
        annotation_file=shared / "annotations/ucf24/pyannot.pkl",
        test_list=shared / "annotations/ucf24/testlist01.txt",
        allow_missing=True,
    ).videos


@pytest.mark.data
def test_no_real_file_gives_a_wrong_frame(ucf_videos):
    for video in ucf_videos[::12]:
        if frame_rule(video.path, video.num_frames) == "order":
            assert_reads_are_exact(video.path, video.num_frames, num_reads=2)


@pytest.mark.data
@pytest.mark.parametrize("backend", BOTH)
def test_a_backend_gives_no_wrong_frame_of_a_real_file(ucf_videos, backend):
    skip_unless_it_loads(backend)
    tables = {video.path: frame_table(video.path) for video in ucf_videos[::12]}
    read_right = [path for path, table in tables.items() if getattr(table, f"{backend}_is_exact")]
    assert len(read_right) >= 8
    for path in read_right:
        assert_backend_is_exact(path, len(tables[path]), backend, num_reads=1)


@pytest.mark.data
def test_every_real_video_maps_onto_its_annotation(ucf_videos):
    by_time = {v.key: v for v in ucf_videos if frame_rule(v.path, v.num_frames) != "order"}
    missing = {key: video.num_frames - count_frames(video.path) for key, video in by_time.items()}
    assert len(missing) == 7
    assert sorted(missing.values()) == [1, 1, 1, 1, 1, 1, 6]
    assert {frame_rule(v.path, v.num_frames) for v in by_time.values()} == {"time"}
    assert all(damage_of(video.path, video.num_frames) is None for video in ucf_videos)
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
