import dataclasses
import zipfile

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from stal.data.clips import ClipDataset
from stal.data.masks import UNKNOWN, read_masks
from stal.errors import AnnotationError, DataNotFoundError, VideoReadError
from stal.structures import Annotations, Tube, Video


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
        ({"masks": np.array([print], dtype=object)}, "masks are object"),
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


@pytest.fixture
def puppet(tmp_path):
    """A video of 5 frames whose puppet mask has 3, and the mask (frames, height, width)."""
    mask = np.zeros((3, 4, 6), np.uint8)
    mask[:, 1:3, 2:5] = np.random.default_rng(0).integers(0, 2, (3, 2, 3))
    savemat(tmp_path / "puppet_mask.mat", {"part_mask": np.moveaxis(mask, 0, 2)}, do_compression=True)
    (tmp_path / "frames").mkdir()
    for frame in range(1, 6):
        cv2.imwrite(str(tmp_path / "frames" / f"{frame:05d}.png"), np.zeros((4, 6, 3), np.uint8))
    tube = Tube(0, np.arange(5), np.tile(np.array([[2, 1, 5, 3]], np.float32), (5, 1)))
    path = tmp_path / "puppet_mask.mat"
    return Video("a", tmp_path / "frames", 5, 4, 6, tubes=(tube,), split="train", masks_path=path), mask


def test_a_puppet_mask_is_of_the_actor_with_id_0(puppet):
    video, mask = puppet
    np.testing.assert_array_equal(read_masks(video, [2, 0, 0]), mask[[2, 0, 0]])


def test_frames_that_a_puppet_mask_lacks_are_unknown_and_logged_once(puppet, caplog):
    video, mask = puppet
    for _ in range(2):
        masks = read_masks(video, range(5))
    np.testing.assert_array_equal(masks[:3], mask)
    assert (masks[3:] == UNKNOWN).all()
    (record,) = caplog.records
    assert "puppet_mask.mat: has masks for 3 of 5 frames" in record.getMessage()


def test_a_clip_has_the_box_in_place_of_an_unknown_silhouette(puppet):
    video, mask = puppet
    dataset = ClipDataset(
        Annotations(("x",), (video,)), 5, 1, lambda clip, generator: clip, training=False, with_masks=True
    )
    clip = dataset[0]
    assert clip.frame_indices.tolist() == [0, 1, 2, 3, 4]
    box = np.zeros((4, 6), bool)
    box[1:3, 2:5] = True
    np.testing.assert_array_equal(clip.actor_masks[0], np.concatenate([mask == 1, np.stack([box, box])]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_frames": 2, "tubes": ()}, r"the mask has 3 frames of 4 x 6 .* video a has 2 of 4 x 6"),
        ({"height": 6, "width": 4}, r"the mask has 3 frames of 4 x 6 .* video a has 5 of 6 x 4"),
    ],
)
def test_the_puppet_mask_of_another_video_is_an_annotation_error(puppet, change, message):
    with pytest.raises(AnnotationError, match=rf"puppet_mask.mat: {message}"):
        read_masks(dataclasses.replace(puppet[0], **change), [0])


def test_a_broken_puppet_mask_is_an_annotation_error(puppet):
    puppet[0].masks_path.write_bytes(b"text")
    with pytest.raises(AnnotationError, match=r"puppet_mask.mat: "):
        read_masks(puppet[0], [0])


@pytest.mark.data
def test_the_real_short_puppet_mask_is_unknown_at_its_end(shared):
    path = shared / "media/jhmdb_real/puppet_mask_short/The_Slow_Clap_clap_u_cm_np1_fr_med_4.mat"
    masks = read_masks(Video("a", path, 33, 240, 320, masks_path=path), range(33))
    assert np.flatnonzero((masks == UNKNOWN).all(axis=(1, 2))).tolist() == list(range(27, 33))
    assert set(np.unique(masks[:27])) == {0, 1}
