"""Joints from each kind of file become COCO's, on every frame of the video."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from stal.data.formats.jhmdb_mat import JOINTS as JHMDB_JOINTS
from stal.data.formats.jhmdb_mat import read_joint_positions
from stal.data.keypoints import read_keypoints, write_keypoints
from stal.errors import AnnotationError, DataNotFoundError
from stal.structures import JOINTS, Video

FRAMES = 4


def video(path: Path | None, num_frames: int = FRAMES) -> Video:
    return Video("v", Path("v.mp4"), num_frames, 240, 320, keypoints_path=path)


def write(path: Path, **changes: np.ndarray) -> Path:
    arrays: dict[str, Any] = {
        "tube_ids": np.array([3, 0]),
        "positions": np.random.default_rng(0).uniform(0, 90, (2, FRAMES, 17, 2)).astype(np.float32),
        "visibility": np.random.default_rng(0).integers(0, 3, (2, FRAMES, 17)).astype(np.uint8),
    }
    np.savez(path, **(arrays | changes))
    return path


def test_own_files_come_back_and_only_seen_joints_are_there(tmp_path: Path) -> None:
    positions = np.random.default_rng(0).uniform(0, 90, (2, FRAMES, 17, 2)).astype(np.float32)
    visibility = np.random.default_rng(1).integers(0, 3, (2, FRAMES, 17)).astype(np.uint8)
    write_keypoints(tmp_path / "k.npz", np.array([3, 0]), positions, visibility)
    found = read_keypoints(video(tmp_path / "k.npz"))
    np.testing.assert_array_equal(found.positions, positions)
    np.testing.assert_array_equal(found.scores, visibility == 2)
    assert found.tube_ids.tolist() == [3, 0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"visibility": np.zeros((2, 9, 17), np.uint8)}, r"visibility has the shape \(2, 9, 17\)"),
        ({"positions": np.zeros((3, FRAMES, 17, 2))}, r"positions has the shape \(3, 4, 17, 2\)"),
        ({"visibility": np.full((2, FRAMES, 17), 3, np.uint8)}, "visibility is 0, 1 or 2, not 3 to 3"),
        ({"tube_ids": np.array([1, 1])}, "two persons have one tube id"),
        ({"tube_ids": np.array(["a", "b"])}, "tube_ids is of dtype"),
        ({"positions": np.full((2, FRAMES, 17, 2), np.nan)}, "the nose of person 0 on frame 0"),
    ],
)
def test_arrays_of_another_video_are_refused(tmp_path: Path, changes: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(AnnotationError, match=rf"k\.npz.*{message}"):
        read_keypoints(video(write(tmp_path / "k.npz", **changes)))


def test_missing_arrays_files_and_paths_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "k.npz", masks=np.zeros(3))
    with pytest.raises(AnnotationError, match=r"arrays \['tube_ids', 'positions', 'visibility'\] are missing.*masks"):
        read_keypoints(video(tmp_path / "k.npz"))
    with pytest.raises(DataNotFoundError, match=r"no\.npz: the joints of video v are not there"):
        read_keypoints(video(tmp_path / "no.npz"))
    with pytest.raises(DataNotFoundError, match=r"video v: its data set has no joints.*--keypoints"):
        read_keypoints(video(None))
    (tmp_path / "k.txt").touch()
    with pytest.raises(AnnotationError, match=r"k\.txt: joints come from \.npz, \.mat, \.json, not from \.txt files"):
        read_keypoints(video(tmp_path / "k.txt"))


def save_jhmdb(path: Path, num_frames: int, image: np.ndarray | None = None) -> np.ndarray:
    image = np.random.default_rng(0).uniform(1, 200, (2, 15, num_frames)) if image is None else image
    savemat(path, {"pos_img": image, "pos_world": image})
    return image


def test_jhmdbs_joints_find_their_names(tmp_path: Path) -> None:
    image = save_jhmdb(tmp_path / "joint_positions.mat", FRAMES)
    found = read_keypoints(video(tmp_path / "joint_positions.mat"))
    assert found.tube_ids.tolist() == [0]
    for name, of_jhmdb in (("nose", "face"), ("left_wrist", "left wrist"), ("right_ankle", "right ankle")):
        expected = image[:, JHMDB_JOINTS.index(of_jhmdb)].T - 0.5
        np.testing.assert_allclose(found.positions[0, :, JOINTS.index(name)], expected, rtol=1e-6)
    absent = [name for name, score in zip(JOINTS, found.scores[0, 0], strict=True) if score == 0]
    assert absent == ["left_eye", "right_eye", "left_ear", "right_ear"]


def test_jhmdbs_joints_outside_of_the_image_or_behind_the_last_frame_are_not_there(tmp_path: Path) -> None:
    image = np.full((2, 15, 3), 100.0)
    image[:, JHMDB_JOINTS.index("left hip"), 1] = (320.6, 100)  # 320.1 in continuous pixels
    image[:, JHMDB_JOINTS.index("right hip"), 1] = (100, 0.4)
    save_jhmdb(tmp_path / "joint_positions.mat", 3, image)
    scores = read_keypoints(video(tmp_path / "joint_positions.mat")).scores[0]
    assert scores[:, JOINTS.index("left_hip")].tolist() == [1, 0, 1, 0]
    assert scores[:, JOINTS.index("right_hip")].tolist() == [1, 0, 1, 0]
    assert not scores[3].any()


def test_jhmdbs_joints_of_a_longer_video_are_refused(tmp_path: Path) -> None:
    save_jhmdb(tmp_path / "joint_positions.mat", FRAMES + 1)
    with pytest.raises(AnnotationError, match="joints on 5 frames, but video v has 4"):
        read_keypoints(video(tmp_path / "joint_positions.mat"))


def test_results_of_a_pose_estimator_are_read(tmp_path: Path) -> None:
    (tmp_path / "poses.json").write_text(json.dumps([{"image_id": 2, "keypoints": [1.0, 2.0, 0.5] * 17}]))
    found = read_keypoints(video(tmp_path / "poses.json"))
    assert (found.scores[0, :, 0] > 0).tolist() == [False, False, True, False]


@pytest.mark.data
def test_the_real_joints_are_in_the_image(shared: Path) -> None:
    path = shared / "media/jhmdb_real/joint_positions.mat"
    num_frames = len(read_joint_positions(path).image)
    found = read_keypoints(video(path, num_frames))
    assert found.scores.sum() > 0.8 * num_frames * 13
