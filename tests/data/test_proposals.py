"""Proposals from a file, brought to a clip."""

import numpy as np
import pytest
import torch

from stal.data.detection_files import write_detections
from stal.data.proposals import ProposalFile, to_clip_boxes
from stal.data.transforms import flip_clip, resize_clip, to_video_boxes
from stal.errors import AnnotationError
from stal.structures import Annotations, Clip, Detections, Video


def clip_of(key: str, keyframe: int) -> Clip:
    return Clip(
        frames=torch.zeros(3, 4, 20, 40, dtype=torch.uint8),
        boxes=torch.zeros(0, 4, 4),
        valid=torch.zeros(0, 4, dtype=torch.bool),
        labels=torch.zeros(0, dtype=torch.int64),
        actor_masks=None,
        video_key=key,
        frame_indices=torch.arange(keyframe - 2, keyframe + 2),
        to_video=torch.tensor([1.0, 1.0, 0.0, 0.0]),
        video_size=(20, 40),
    )


@pytest.fixture
def proposals(tmp_path) -> ProposalFile:
    videos = tuple(Video(key, tmp_path / key, 30, 20, 40) for key in ("a", "b"))
    boxes = np.array([[4, 2, 10, 12], [30, 5, 40, 20], [0, 0, 5, 5]], np.float32)
    found = Detections(np.array([7, 7, 8]), boxes, np.zeros(3, np.int64), np.ones(3))
    write_detections(tmp_path / "p.npz", Annotations(("person",), videos), {"a": found}, {})
    return ProposalFile(tmp_path / "p.npz")


def test_proposals_are_those_of_the_keyframe(proposals):
    assert proposals.keyframe_boxes(clip_of("a", 7)).tolist() == [[4, 2, 10, 12], [30, 5, 40, 20]]
    assert proposals.keyframe_boxes(clip_of("a", 8)).tolist() == [[0, 0, 5, 5]]


def test_a_keyframe_without_proposals_and_a_video_without_any_give_none(proposals):
    assert proposals.keyframe_boxes(clip_of("a", 20)).shape == (0, 4)
    assert proposals.keyframe_boxes(clip_of("b", 7)).shape == (0, 4)


def test_a_video_that_the_file_does_not_list_is_an_error(proposals):
    with pytest.raises(AnnotationError, match=r"p\.npz do not list video c"):
        proposals.keyframe_boxes(clip_of("c", 7))


def test_boxes_come_back_from_a_resized_and_flipped_clip(proposals):
    clip = flip_clip(resize_clip(clip_of("a", 7), 30, 30))
    boxes = proposals.keyframe_boxes(clip)
    back = to_video_boxes(boxes, clip.to_video, clip.video_size)
    torch.testing.assert_close(back, torch.tensor([[4.0, 2, 10, 12], [30, 5, 40, 20]]), atol=1e-4, rtol=0)


def test_boxes_are_cut_to_the_clip_and_left_out_when_nothing_is_left():
    boxes = torch.tensor([[-5.0, -5, 5, 5], [50, 50, 60, 60], [10, 0, 20, 8]])
    cut = to_clip_boxes(boxes, torch.tensor([1.0, 1.0, 0.0, 0.0]), (10, 15))
    assert cut.tolist() == [[0, 0, 5, 5], [10, 0, 15, 8]]
