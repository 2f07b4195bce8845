import dataclasses
import zipfile

import numpy as np
import pytest

from stal.data.masks import read_masks
from stal.errors import AnnotationError, DataNotFoundError, VideoReadError
from stal.structures import Video


@pytest.fixture
def masked(tmp_path):
    masks = np.random.default_rng(0).integers(0, 3, (5, 4, 6)).astype(np.uint8)
    np.savez_compressed(tmp_path / "masks.npz", masks=masks)
    return Video("a", tmp_path / "a.mp4", num_frames=5, height=4, width=6, masks_path=tmp_path / "masks.npz"), masks


def test_masks_are_read_by_frame(masked):
    video, masks = masked
    np.testing.assert_array_equal(read_masks(video, [4, 0, 0]), masks[[4, 0, 0]])
    with pytest.raises(VideoReadError, match=r"masks.npz: there is no frame 5"):
        read_masks(video, [5])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"mask": np.zeros((5, 4, 6), np.uint8)}, r"has no array `masks`, only \['mask'\]"),
        ({"masks": np.zeros((4, 4, 6), np.uint8)}, r"uint8 \(4, 4, 6\), but the video needs uint8 \(5, 4, 6\)"),
        ({"masks": np.zeros((5, 4, 6))}, "float64"),
        ({"masks": np.array([print], dtype=object)}, "not a .npz file"),
    ],
)
def test_wrong_masks_are_an_annotation_error(masked, arrays, message):
    video, _ = masked
    np.savez(video.masks_path, **arrays)
    with pytest.raises(AnnotationError, match=rf"masks.npz: .*{message}"):
        read_masks(video, [0])


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04cut off"])
def test_a_broken_mask_file_is_an_annotation_error(masked, content):
    masked[0].masks_path.write_bytes(content)
    with pytest.raises(AnnotationError, match=r"not a .npz file with an array `masks`"):
        read_masks(masked[0], [0])


def test_a_mask_file_that_is_damaged_inside_is_an_annotation_error(masked):
    path = masked[0].masks_path
    with zipfile.ZipFile(path) as archive:
        start = archive.infolist()[0].header_offset + 80
    content = bytearray(path.read_bytes())
    content[start : start + 8] = b"\xff" * 8
    path.write_bytes(content)
    with pytest.raises(AnnotationError, match=r"not a .npz file with an array `masks`"):
        read_masks(masked[0], [0])


def test_missing_masks_are_not_found(masked):
    masked[0].masks_path.unlink()
    with pytest.raises(DataNotFoundError, match=r"masks.npz: the silhouettes of video a are not there"):
        read_masks(masked[0], [0])
    with pytest.raises(DataNotFoundError, match="video a: its data set has no silhouettes"):
        read_masks(dataclasses.replace(masked[0], masks_path=None), [0])
