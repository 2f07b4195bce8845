"""Clips of joints: whose they are, what labels and boxes persons have, and what is refused."""

from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import numpy as np
import pytest

from stal.data.keypoint_clips import KeypointDataset
from stal.data.keypoints import write_keypoints
from stal.errors import AnnotationError, BadDataError, ConfigError
from stal.structures import Annotations, Tube, Video

FRAMES, HEIGHT, WIDTH = 10, 40, 60


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Leave the checks of arguments to what takes them."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def positions_of(x: float) -> np.ndarray:
    """Return joints in a box 8 wide and 32 tall, which goes right by a pixel a frame."""
    corners = np.stack(
        [x + np.arange(FRAMES)[:, None] + np.arange(17) / 2, np.tile(2.0 * np.arange(17), (FRAMES, 1))], -1
    )
    return corners.astype(np.float32)


@pytest.fixture
def annotations(tmp_path: Path) -> Annotations:
    """Return a video of an actor (frames 2 to 5), one who never acts, and one who leaves after frame 3."""
    positions = np.stack([positions_of(5), positions_of(25), positions_of(40)])
    visibility = np.full((3, FRAMES, 17), 2, np.uint8)
    visibility[2, 4:] = 0
    path = tmp_path / "k.npz"
    write_keypoints(path, np.array([3, -1, 0]), positions, visibility)
    tubes = (
        Tube(1, np.arange(2, 6), np.array([[4, 0, 18, 36]] * 4, np.float32), id=3),
        Tube(0, np.arange(4), np.array([[40, 0, 70, 36]] * 4, np.float32), id=0),
    )
    video = Video("v", tmp_path / "no.mp4", FRAMES, HEIGHT, WIDTH, tubes=tubes, split="test", keypoints_path=path)
    return Annotations(("a", "b"), (video,))


def dataset(annotations: Annotations, **arguments: object) -> KeypointDataset:
    return KeypointDataset(annotations, 4, 1, **({"training": False} | arguments))  # type: ignore[arg-type]


def test_a_clip_has_the_joints_boxes_and_labels_of_who_is_seen(annotations: Annotations) -> None:
    data = dataset(annotations)
    assert len(data) == 3
    clip = data[0]  # frames 0 to 3, keyframe 2
    assert clip.frames.shape == (3, 4, 3, 17)
    np.testing.assert_array_equal(clip.frames[:2, 2, 0].numpy().T, positions_of(5)[2])
    assert clip.frames[2].all()
    assert clip.labels.tolist() == [1, -1, 0]
    assert clip.valid.tolist() == [[False, False, True, True], [False] * 4, [True] * 4]
    assert clip.boxes[2, 0].tolist() == [40, 0, 60, 36]  # cut to the video
    assert clip.boxes[0, 0].tolist() == [0] * 4
    assert clip.video_labels is not None
    assert clip.video_labels.tolist() == [0, 1]
    assert clip.video_size == (HEIGHT, WIDTH)


def test_who_is_neither_seen_nor_annotated_in_a_clip_is_left_out_and_labels_are_of_the_keyframe(
    annotations: Annotations,
) -> None:
    clip = dataset(annotations)[2]  # frames 6 to 9
    assert clip.labels.tolist() == [-1, -1]
    assert not clip.valid.any()
    assert clip.frames.shape[2] == 2


def test_boxes_around_joints_need_no_tubes(annotations: Annotations) -> None:
    clip = dataset(annotations, boxes="joints")[2]
    assert clip.valid.all()
    assert clip.boxes[0, 0].tolist() == [11, 0, 19, 32]
    grown = dataset(annotations, boxes="joints", grow=0.5)[2]
    assert grown.boxes[0, 0].tolist() == [9, 0, 21, 40]


def test_training_clips_repeat_for_their_seed_and_need_boxes_only_if_asked(annotations: Annotations) -> None:
    one, again = (dataset(annotations, training=True, seed=4)[0, 7] for _ in range(2))
    np.testing.assert_array_equal(one.frames, again.frames)
    unboxed = Annotations(("a", "b"), (Video("v", Path("v.mp4"), FRAMES, HEIGHT, WIDTH, labels=(1,),
                          keypoints_path=annotations.videos[0].keypoints_path),))  # fmt: skip
    with pytest.raises(AnnotationError, match="has a box to train on"):
        dataset(unboxed, training=True)
    clip = dataset(unboxed, training=True, keyframes="any")[0]
    assert set(clip.labels.tolist()) == {-1}


def test_a_video_without_joints_is_named(annotations: Annotations) -> None:
    bare = Annotations(("a",), (Video("v", Path("v.mp4"), FRAMES, HEIGHT, WIDTH, labels=(0,)),))
    with pytest.raises(BadDataError, match="video v: its data set has no joints"):
        dataset(bare, training=True, keyframes="any")[0]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"boxes": "pixels"}, "boxes = 'pixels' is neither 'tubes' nor 'joints'"),
        ({"boxes": "joints", "grow": -0.1}, "grow = -0.1 must not be negative"),
        ({"boxes": "tubes", "grow": 0.1}, "is for boxes = 'joints' only"),
    ],
)
def test_boxes_that_cannot_be_had_are_refused(annotations: Annotations, arguments: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        dataset(annotations, **arguments)
