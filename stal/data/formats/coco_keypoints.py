"""Joints of persons as COCO's results have them: the JSON that pose estimators write, one file for a video.

Source of the format: https://cocodataset.org/#format-results. What is read of it::

    [{"image_id": 12,                                 0-based frame of the video
      "keypoints": [x1, y1, s1, ..., x17, y17, s17],  COCO's joints in their order, with scores between 0 and 1
      "track_id": 3},                                 who it is; for all persons, or for none
     ...]

COCO counts pixels from the middle of the first one, which is 0.5 in continuous pixels. Other keys, such as
`category_id` and the `score` of the person, are left alone.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from stal.data.formats.join_boxes import join_boxes
from stal.data.formats.json_node import JsonNode, is_number, load_json, shorten
from stal.data.keypoint_boxes import joint_boxes
from stal.structures import JOINTS, Keypoints
from stal.structures.keypoints import UNKNOWN_TUBE

_NUM_VALUES = 3 * len(JOINTS)
_MAX_COORDINATE = 1e6  # no video has so many pixels


def read_coco_keypoints(path: str | Path, *, num_frames: int) -> Keypoints:
    """Read the joints of the persons of a video.

    If no person has a `track_id`, those on consecutive frames are joined by the overlap of the boxes around their
    joints, see `join_boxes`; a person who is not seen on a frame is another one after it. Which tubes persons are
    annotated by is not known.

    Args:
        path: the file.
        num_frames: of the video.

    Raises:
        DataNotFoundError: there is no such file.
        AnnotationError: it is broken or of another format; the message names the place in it.
    """
    root = load_json(path)
    if isinstance(root.value, dict) and "annotations" in root.value:
        root.fail("these are COCO's annotations of a data set; give results, a list of the persons of one video")
    nodes = list(root.items())
    frames = np.array([_frame(node.child("image_id"), num_frames) for node in nodes], np.int64)
    joints = np.array([_joints(node.child("keypoints")) for node in nodes], np.float32).reshape(-1, len(JOINTS), 3)
    persons = _tracks(root, nodes, frames)
    if persons is None:
        persons = _joined(frames, joints)
    num_persons = int(persons.max(initial=-1)) + 1
    every = np.zeros((num_persons, num_frames, len(JOINTS), 3), np.float32)
    every[persons, frames] = joints
    return Keypoints(
        np.ascontiguousarray(every[..., :2]),
        np.ascontiguousarray(every[..., 2]),
        np.full(num_persons, UNKNOWN_TUBE, np.int64),
    )


def _frame(node: JsonNode, num_frames: int) -> int:
    frame = node.integer()
    if not 0 <= frame < num_frames:
        node.fail(f"frame {frame} of a video of frames 0 to {num_frames - 1}; are they numbered from 1?")
    return frame


def _joints(node: JsonNode) -> list[float]:
    """Return x, y and score of every joint in continuous pixels; a joint without a score is at 0, 0."""
    values = node.value
    if not isinstance(values, list) or len(values) != _NUM_VALUES or not all(map(is_number, values)):
        node.fail(f"expected {_NUM_VALUES} numbers, x, y and score of each of COCO's joints, got {shorten(values)}")
    joints: list[float] = []
    for number, name in enumerate(JOINTS):
        x, y, score = values[3 * number : 3 * number + 3]
        if not 0 <= score <= 1:
            node.fail(f"the {name} has the score {score}; scores are between 0 and 1: scale them, or cut them to that")
        if not max(abs(x), abs(y)) < _MAX_COORDINATE:
            node.fail(f"the {name} is at {x}, {y}; expected pixels of the video")
        joints += (x + 0.5, y + 0.5, score) if score > 0 else (0.0, 0.0, 0.0)
    return joints


def _tracks(root: JsonNode, nodes: list[JsonNode], frames: Int64[np.ndarray, " R"]) -> Int64[np.ndarray, " R"] | None:
    """Return the person of every row by its track, numbered from 0; None if there are no tracks."""
    tracks = [node.child("track_id", optional=True) for node in nodes]
    with_track = [track for track in tracks if track.value is not None]
    if not with_track:
        return None
    if len(with_track) < len(tracks):
        root.fail(f"{len(with_track)} of {len(tracks)} persons have a track_id; give it to all or to none")
    persons = np.unique([track.integer() for track in tracks], return_inverse=True)[1].astype(np.int64)
    order = np.lexsort((frames, persons))
    twice = (np.diff(persons[order]) == 0) & (np.diff(frames[order]) == 0)
    if twice.any():
        row = int(order[1:][twice.argmax()])
        tracks[row].fail(f"track {tracks[row].value} is on frame {frames[row]} twice; a person is there once")
    return persons


def _joined(frames: Int64[np.ndarray, " R"], joints: Float32[np.ndarray, "R 17 3"]) -> Int64[np.ndarray, " R"]:
    """Return the person of every row by the overlap of boxes, numbered from 0; without a box it is one by itself."""
    boxes, has_box = joint_boxes(joints[..., :2], joints[..., 2])
    rows = np.flatnonzero(has_box)
    tubes = join_boxes(frames[rows], boxes[rows], np.zeros(len(rows), np.int64))
    rows_of: dict[tuple[int, bytes], list[int]] = {}
    for row in rows.tolist():
        rows_of.setdefault((int(frames[row]), boxes[row].tobytes()), []).append(row)
    persons = np.full(len(frames), -1, np.int64)
    for tube in tubes:
        for frame, box in zip(tube.frames.tolist(), tube.boxes, strict=True):
            persons[rows_of[frame, box.tobytes()].pop()] = tube.id
    alone = np.flatnonzero(persons < 0)
    persons[alone] = len(tubes) + np.arange(len(alone))
    return persons
