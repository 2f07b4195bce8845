"""Results of pose estimators: persons by their tracks or by overlap, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stal.data.formats.coco_keypoints import read_coco_keypoints
from stal.errors import AnnotationError, DataNotFoundError

FRAMES = 5


def person(frame: int, x: float, score: float = 0.5, **others: Any) -> dict[str, Any]:
    """Return a person whose joints are in a row, 2 pixels apart, on a slope."""
    joints = [[x + 2 * j, 10.0 + j, score] for j in range(17)]
    return {
        "image_id": frame,
        "category_id": 1,
        "keypoints": [value for joint in joints for value in joint],
        "score": 0.9,
        **others,
    }


def save(folder: Path, value: Any) -> Path:
    path = folder / "poses.json"
    path.write_text(json.dumps(value))
    return path


def test_persons_are_their_tracks_in_continuous_pixels(tmp_path: Path) -> None:
    rows = [person(3, 7.0, track_id=9), person(0, 5.0, track_id=2), person(4, 8.0, track_id=9)]
    found = read_coco_keypoints(save(tmp_path, rows), num_frames=FRAMES)
    assert found.positions.shape == (2, FRAMES, 17, 2)
    assert found.tube_ids.tolist() == [-1, -1]
    assert (found.scores[:, :, 0] > 0).tolist() == [
        [True, False, False, False, False],
        [False, False, False, True, True],
    ]
    assert found.positions[1, 4, 1].tolist() == [10.5, 11.5]
    assert found.scores[0, 0].tolist() == [0.5] * 17


def test_without_tracks_persons_are_joined_by_overlap_whatever_their_order(tmp_path: Path) -> None:
    rows = [person(frame, x) for frame in range(3) for x in (0.0 + frame, 100.0 - frame)]
    found = read_coco_keypoints(save(tmp_path, rows), num_frames=FRAMES)
    turned = read_coco_keypoints(save(tmp_path, rows[::-1]), num_frames=FRAMES)
    assert found.positions[:, :3, 0, 0].tolist() == [[0.5, 1.5, 2.5], [100.5, 99.5, 98.5]]
    np.testing.assert_array_equal(found.positions, turned.positions)


def test_a_person_who_was_away_is_another_one(tmp_path: Path) -> None:
    found = read_coco_keypoints(save(tmp_path, [person(0, 0.0), person(2, 0.0)]), num_frames=FRAMES)
    assert (found.scores[:, :, 0] > 0).sum(1).tolist() == [1, 1]


def test_joints_without_a_score_are_not_there_and_nobody_is_no_error(tmp_path: Path) -> None:
    found = read_coco_keypoints(save(tmp_path, [person(1, 3.0, score=0)]), num_frames=FRAMES)
    assert len(found) == 1
    assert not found.scores.any() and not found.positions.any()
    assert len(read_coco_keypoints(save(tmp_path, []), num_frames=FRAMES)) == 0


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"annotations": []}, "the document: these are COCO's annotations of a data set"),
        ({"a": 1}, "the document: expected a list"),
        ([{"keypoints": [0] * 51}], r"\[0\]: the key 'image_id' is missing"),
        ([person(5, 0.0)], r"\[0\].image_id: frame 5 of a video of frames 0 to 4; are they numbered from 1"),
        ([person(-1, 0.0)], r"\[0\].image_id: frame -1"),
        ([{**person(0, 0.0), "image_id": "0.jpg"}], r"\[0\].image_id"),
        ([person(0, 0.0), {"image_id": 0, "keypoints": [0] * 50}], r"\[1\].keypoints: expected 51 numbers"),
        ([{"image_id": 0, "keypoints": ["a"] * 51}], r"\[0\].keypoints: expected 51 numbers"),
        ([person(0, 0.0, score=2)], r"\[0\].keypoints: the nose has the score 2; scores are between 0 and 1"),
        ([person(0, 1e7)], r"\[0\].keypoints: the nose is at 10000000.0, 10.0"),
        ([person(0, 0.0, track_id=1), person(1, 0.0)], "the document: 1 of 2 persons have a track_id"),
        ([person(0, 0.0, track_id=1), person(0, 9.0, track_id=1)], r"\[1\].track_id: track 1 is on frame 0 twice"),
        ([person(0, 0.0, track_id="a")], r"\[0\].track_id"),
    ],
)
def test_another_layout_is_refused_by_its_place(tmp_path: Path, value: Any, message: str) -> None:
    with pytest.raises(AnnotationError, match=rf"poses\.json: {message}"):
        read_coco_keypoints(save(tmp_path, value), num_frames=FRAMES)


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match=r"no\.json"):
        read_coco_keypoints(tmp_path / "no.json", num_frames=FRAMES)
    (tmp_path / "half.json").write_text('[{"image_id"')
    with pytest.raises(AnnotationError, match=r"half\.json"):
        read_coco_keypoints(tmp_path / "half.json", num_frames=FRAMES)
