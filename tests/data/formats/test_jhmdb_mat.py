from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import savemat

from stal.data.formats.act_pickle import read_act_pickle
from stal.data.formats.jhmdb_mat import JOINTS, read_joint_positions, read_part_mask
from stal.errors import AnnotationError, DataNotFoundError
from stal.ops.masks import mask_boxes

REAL_KEY = "catch/Goal_Keeping_Tips_catch_f_cm_np1_fr_med_2"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.mat"


@pytest.fixture
def mask() -> np.ndarray:
    """Return (height, width, frames), as MATLAB has it."""
    return np.random.default_rng(0).integers(0, 2, (4, 6, 5)).astype(np.uint8)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64, bool])
def test_a_mask_is_read_frame_by_frame(path: Path, mask: np.ndarray, compressed: bool, dtype: Any) -> None:
    savemat(path, {"part_mask": mask.astype(dtype)}, do_compression=compressed)
    read = read_part_mask(path)
    assert (read.dtype, read.shape, read.flags.c_contiguous) == (np.uint8, (5, 4, 6), True)
    for frame in range(5):
        np.testing.assert_array_equal(read[frame], mask[:, :, frame])


def test_a_mask_of_one_frame_has_lost_its_last_axis(path: Path, mask: np.ndarray) -> None:
    savemat(path, {"part_mask": mask[:, :, 0]})
    np.testing.assert_array_equal(read_part_mask(path), mask[None, :, :, 0])


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"mask": np.zeros((4, 6, 5))}, "part_mask"),
        ({"part_mask": np.full((4, 6, 5), 2, np.uint8)}, "is no 0 or 1 at 120 of 120 places, but 2"),
        ({"part_mask": np.full((4, 6, 1, 2), 1, np.uint8)}, r"part_mask is uint8\[4, 6, 1, 2\]"),
        ({"part_mask": np.zeros((4, 6, 0), np.uint8)}, r"part_mask is uint8\[4, 6, 0\]"),
        ({"part_mask": np.full((4, 6), np.nan)}, "is no 0 or 1 at 24 of 24 places, but nan"),
        ({"part_mask": "text"}, "part_mask is a str"),
        ({"part_mask": {"a": 1}}, "part_mask is a list"),
    ],
)
def test_another_variable_is_refused(path: Path, variables: dict[str, Any], message: str) -> None:
    savemat(path, variables)
    with pytest.raises(AnnotationError, match=rf"file\.mat.*{message}"):
        read_part_mask(path)


@pytest.mark.parametrize("content", [b"", b"text", b"MATLAB 5.0 MAT-file", b"\0" * 300])
def test_a_broken_file_is_an_annotation_error(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    for read in (read_part_mask, read_joint_positions):
        with pytest.raises(AnnotationError, match=r"file\.mat"):
            read(path)


def test_a_damaged_file_is_an_annotation_error_or_another_mask(path: Path, mask: np.ndarray) -> None:
    generator = np.random.default_rng(0)
    for compressed in (False, True):
        savemat(path, {"part_mask": mask}, do_compression=compressed)
        whole = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(300):
            damaged = whole[: generator.integers(140, len(whole) + 1)].copy()
            damaged[generator.integers(124, len(damaged), 3)] = generator.integers(0, 256, 3)
            path.write_bytes(damaged.tobytes())
            try:
                assert read_part_mask(path).max() <= 1
            except AnnotationError as error:
                assert "file.mat" in str(error)


def test_a_missing_file_is_not_found(path: Path) -> None:
    for read in (read_part_mask, read_joint_positions):
        with pytest.raises(DataNotFoundError, match=r"file\.mat"):
            read(path)


def save_joints(path: Path, num_frames: int = 3, **changes: Any) -> np.ndarray:
    image = np.random.default_rng(0).uniform(1, 300, (2, 15, num_frames))
    savemat(path, {"pos_img": image, "pos_world": image / 10, "scale": np.ones((1, num_frames)), **changes})
    return image


def test_joints_are_in_continuous_pixels_by_frame_and_joint(path: Path) -> None:
    image = save_joints(path)
    joints = read_joint_positions(path)
    assert joints.image.shape == joints.world.shape == (3, len(JOINTS), 2)
    assert joints.image.dtype == joints.world.dtype == np.float32
    np.testing.assert_allclose(joints.image[2, 4], image[:, 4, 2] - 0.5, rtol=1e-6)
    np.testing.assert_allclose(joints.world[1, 14], image[:, 14, 1] / 10, rtol=1e-6)


def test_joints_of_one_frame_have_lost_their_last_axis(path: Path) -> None:
    image = np.random.default_rng(0).uniform(1, 300, (2, 15))
    savemat(path, {"pos_img": image, "pos_world": image})
    assert read_joint_positions(path).image.shape == (1, 15, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pos_img": np.zeros((2, 14, 3))}, r"pos_img is float64\[2, 14, 3\], not \(2, 15, frames\)"),
        ({"pos_img": np.zeros((2, 15, 0))}, r"pos_img is float64\[2, 15, 0\]"),
        ({"pos_world": np.zeros((2, 15, 4))}, "pos_img has 3 frames and pos_world 4"),
        ({"pos_world": "text"}, "pos_world is a str"),
        ({"pos_img": np.full((2, 15, 3), np.nan)}, "pos_img has no finite position for the neck on frame 0"),
    ],
)
def test_other_joints_are_refused(path: Path, changes: dict[str, Any], message: str) -> None:
    save_joints(path, **changes)
    with pytest.raises(AnnotationError, match=rf"file\.mat: {message}"):
        read_joint_positions(path)


@pytest.mark.data
def test_the_box_of_the_real_mask_is_that_of_the_annotation(shared: Path) -> None:
    mask = read_part_mask(shared / f"media/jhmdb_real/puppet_mask/{REAL_KEY}/puppet_mask.mat")
    assert mask.shape == (40, 240, 320)
    boxes, seen = mask_boxes(torch.from_numpy(mask == 1))
    annotations = read_act_pickle(shared / "annotations/jhmdb/JHMDB-GT.pkl", fold=1)
    (tube,) = next(video.tubes for video in annotations.videos if video.key == REAL_KEY)
    assert seen.all()
    np.testing.assert_array_equal(boxes.numpy(), tube.boxes)


@pytest.mark.data
def test_the_real_short_mask_lacks_frames_on_which_the_annotation_repeats_its_last_box(shared: Path) -> None:
    name = "The_Slow_Clap_clap_u_cm_np1_fr_med_4"
    mask = read_part_mask(shared / f"media/jhmdb_real/puppet_mask_short/{name}.mat")
    assert mask.shape == (27, 240, 320)
    boxes = mask_boxes(torch.from_numpy(mask == 1))[0].numpy()
    annotations = read_act_pickle(shared / "annotations/jhmdb/JHMDB-GT.pkl", fold=1)
    (tube,) = next(video.tubes for video in annotations.videos if video.key == f"clap/{name}")
    assert len(tube) == 33
    np.testing.assert_array_equal(boxes[np.minimum(np.arange(33), 26)], tube.boxes)


@pytest.mark.data
def test_the_real_joints_count_pixels_from_1_and_are_in_the_order_of_their_names(shared: Path) -> None:
    joints = read_joint_positions(shared / "media/jhmdb_real/joint_positions.mat")
    mask = read_part_mask(shared / f"media/jhmdb_real/puppet_mask/{REAL_KEY}/puppet_mask.mat")
    assert joints.image.shape == (40, 15, 2)

    # on the frames that annotators placed by hand, joints lie in the middle of blocks of 4 pixels
    on_grid = joints.image % 4 == 2
    on_grid[:, JOINTS.index("belly")] = True  # which is the middle between neck and hips
    assert on_grid.all(axis=(1, 2)).sum() == 10

    # the world is the image, less its middle and over its height and the size of the puppet
    stored = joints.image + 0.5
    scale = (stored - [160, 120]) / 240 / joints.world
    np.testing.assert_allclose(scale, np.broadcast_to(scale[:, :1, :1], scale.shape), rtol=1e-3)

    # an actor who stands and faces the camera has the right side on the left, and the joints from the head downwards
    first = dict(zip(JOINTS, joints.image[0], strict=True))
    for part in ("shoulder", "hip", "elbow", "knee", "wrist", "ankle"):
        assert first[f"right {part}"][0] < first[f"left {part}"][0]
    for side in ("left", "right"):
        heights = [first[part][1] for part in ("face", "neck", "belly", f"{side} hip", f"{side} knee", f"{side} ankle")]
        assert heights == sorted(heights)
    x, y = np.moveaxis(np.floor(joints.image[:, :2]).astype(int), 2, 0)
    assert mask[np.arange(40)[:, None], y, x].mean() > 0.8  # neck and belly lie on the actor
