"""Persons of a file, followed through a clip."""

import dataclasses

import numpy as np
import pytest
import torch

from stal.data.clip_persons import with_persons
from stal.data.detection_files import write_detections
from stal.data.proposals import ProposalFile
from stal.errors import AnnotationError
from stal.structures import Annotations, Clip, Detections, Video

FRAMES, KEYFRAME = 5, 2


@pytest.fixture
def file_of(tmp_path):
    """Return what writes boxes of video "a" by frame, and reads them."""

    def write(boxes_of_frames: dict[int, list[list[float]]]) -> ProposalFile:
        rows = [(frame, box) for frame, boxes in boxes_of_frames.items() for box in boxes]
        found = Detections(
            np.array([frame for frame, _ in rows], np.int64),
            np.array([box for _, box in rows], np.float32).reshape(-1, 4),
            np.zeros(len(rows), np.int64),
            np.ones(len(rows)),
        )
        video = Video("a", tmp_path / "a", 40, 40, 80)
        write_detections(tmp_path / "p.npz", Annotations(("person",), (video,)), {"a": found}, {})
        return ProposalFile(tmp_path / "p.npz")

    return write


def clip_of(**changes) -> Clip:
    """Return frames 10 to 14 of video "a", twice as small, with an annotated actor."""
    values = {
        "frames": torch.zeros(3, FRAMES, 20, 40, dtype=torch.uint8),
        "boxes": torch.tensor([1.0, 1, 3, 3]).repeat(1, FRAMES, 1),
        "valid": torch.ones(1, FRAMES, dtype=torch.bool),
        "labels": torch.tensor([4]),
        "actor_masks": torch.ones(1, FRAMES, 20, 40, dtype=torch.bool),
        "video_key": "a",
        "frame_indices": torch.arange(10, 10 + FRAMES),
        "to_video": torch.tensor([2.0, 2.0, 0.0, 0.0]),
        "video_size": (40, 80),
        "video_labels": torch.tensor([4]),
    }
    return Clip(**{**values, **changes})


def walker(x: float) -> list[float]:
    return [x, 10.0, x + 12, 34.0]


def test_persons_are_those_of_the_keyframe_and_followed_to_both_ends(file_of):
    moving = {10 + t: [walker(60 - 3 * t), walker(10 + 3 * t)][:: (-1) ** t] for t in range(FRAMES)}  # order changes
    clip = with_persons(clip_of(), file_of(moving))
    assert clip.boxes[..., 0].tolist() == [[30 - 1.5 * t for t in range(FRAMES)], [5 + 1.5 * t for t in range(FRAMES)]]
    assert clip.boxes[0, 0].tolist() == [30.0, 5.0, 36.0, 17.0]  # half as large as in the video
    assert clip.valid.all() and clip.labels.tolist() == [-1, -1]
    assert clip.actor_masks is None and clip.video_labels.tolist() == [4]


def test_who_is_missed_on_a_frame_is_not_there_and_comes_back(file_of):
    clip = with_persons(clip_of(), file_of({12: [walker(10)], 14: [walker(13)], 10: [walker(50)]}))
    assert clip.valid.tolist() == [[False, False, True, False, True]]
    assert clip.boxes[0, :, 0].tolist() == [0.0, 0.0, 5.0, 0.0, 6.5]


def test_two_persons_do_not_share_a_box(file_of):
    clip = with_persons(clip_of(), file_of({12: [walker(10), walker(14)], 13: [walker(12)]}))
    assert clip.valid[:, 3].sum() == 1


def test_a_frame_that_is_repeated_at_the_end_of_a_video_has_its_persons_again(file_of):
    repeated = clip_of(frame_indices=torch.tensor([12, 12, 12, 13, 13]))
    clip = with_persons(repeated, file_of({12: [walker(10)], 13: [walker(12)]}))
    assert clip.boxes[0, :, 0].tolist() == [5.0, 5.0, 5.0, 6.0, 6.0]


@pytest.mark.parametrize("boxes", [{}, {10: [walker(10)]}], ids=["nowhere", "not on the keyframe"])
def test_without_a_person_on_the_keyframe_there_is_nobody(boxes, file_of):
    clip = with_persons(clip_of(), file_of(boxes))
    assert clip.boxes.shape == (0, FRAMES, 4) and clip.valid.shape == (0, FRAMES) and len(clip.labels) == 0


def test_a_video_that_the_file_does_not_list_is_an_error(file_of):
    with pytest.raises(AnnotationError, match="do not list video b"):
        with_persons(dataclasses.replace(clip_of(), video_key="b"), file_of({}))
