"""A data set of clips of joints, in place of pixels."""

from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64

from stal.data.balance import Balance
from stal.data.clips import ClipDataset, Keyframes
from stal.data.keypoint_boxes import joint_boxes, tubes_of_persons
from stal.data.keypoints import read_keypoints
from stal.data.sampling import clip_frames
from stal.data.transforms import Transform, cut_boxes
from stal.errors import ConfigError
from stal.structures import Annotations, Clip, Keypoints, Video

PersonBoxes = Literal["tubes", "joints"]

NO_LABEL = -1
"""Label of a person who is not annotated on the keyframe of a clip."""


class _Persons(NamedTuple):
    """The N persons of a video.

    Attributes:
        keypoints: their joints.
        tubes: (N,) number of the tube of each, -1 for none.
        boxes: (N, T, 4) on every frame, zero where not `valid`.
        valid: (N, T) where a person has a box.
    """

    keypoints: Keypoints
    tubes: Int64[np.ndarray, " N"]
    boxes: Float32[np.ndarray, "N T 4"]
    valid: Bool[np.ndarray, "N T"]


class KeypointDataset(ClipDataset):
    """Clips of the joints of a video's persons; videos themselves are not opened.

    A clip is a `Clip` whose actors are N persons, and whose frames are points: (3, T, N, 17), x and y in pixels of the
    video, and the score of each joint, 0 for one that is not there. Persons are all that are seen in the clip. The
    label of one is the class of its tube, if that has a box on the keyframe, or `NO_LABEL`.

    Joints are read once and kept, 5 kB in each process for a second of a person.
    """

    def __init__(
        self,
        annotations: Annotations,
        num_frames_clip: int,
        stride: int,
        transform: Transform | None = None,
        *,
        training: bool,
        boxes: PersonBoxes = "tubes",
        grow: float = 0.0,
        seed: int = 0,
        clips_per_video: int = 1,
        balance: Balance = "video",
        keyframes: Keyframes = "boxes",
        step: int | None = None,
        ledger: Path | None = None,
        max_bad_share: float = 0.01,
    ) -> None:
        """Prepare the list of samples; no file is opened yet.

        Args:
            annotations: the videos of one split, with a `keypoints_path`.
            num_frames_clip: frames of a clip.
            stride: frames of the video from one frame of a clip to the next.
            transform: called with every clip and its random generator; None for none.
            training: random keyframes, or all keyframes that cover the videos.
            boxes: of the persons: the annotated `tubes`, so that it is measured whether actions are told apart, or the
                tight boxes around the `joints`.
            grow: fraction of its width and height by which a box around joints is made larger.
            seed: of everything random.
            clips_per_video: training clips of an epoch, for each video.
            balance: what comes equally often in training, see `ClipDataset`.
            keyframes: of training clips, see `ClipDataset`.
            step: frames of the video from one test clip to the next; None for the span of a clip.
            ledger: file that names bad samples; None to log them.
            max_bad_share: part of the training samples that may be bad.

        Raises:
            AnnotationError: there is no video to train on.
            ConfigError: there are no such boxes, or a number is out of range.
        """
        if boxes not in get_args(PersonBoxes):
            raise ConfigError(f"KeypointDataset: boxes = {boxes!r} is neither 'tubes' nor 'joints'")
        if not 0 <= grow < float("inf") or (grow and boxes == "tubes"):
            raise ConfigError(
                f"KeypointDataset: grow = {grow} must not be negative, and is for boxes = 'joints' only: tubes stay as "
                "they are annotated"
            )
        super().__init__(
            annotations,
            num_frames_clip,
            stride,
            _unchanged if transform is None else transform,
            training=training,
            seed=seed,
            clips_per_video=clips_per_video,
            balance=balance,
            keyframes=keyframes,
            step=step,
            ledger=ledger,
            max_bad_share=max_bad_share,
        )
        self.boxes = boxes
        self.grow = grow
        self._persons: dict[str, _Persons] = {}

    def _find_damage(self, video: Video) -> None:
        """Return None: what is wrong with the pixels of a video does not matter."""

    def _read_clip(self, video: Video, keyframe: int, num_frames: int) -> Clip:
        """Return the clip around a keyframe, with the persons that are seen in it."""
        if video.key not in self._persons:
            self._persons[video.key] = self._read_persons(video)
        keypoints, tubes, boxes, valid = self._persons[video.key]
        indices = clip_frames(keyframe, self.num_frames_clip, self.stride, num_frames)
        scores = keypoints.scores[:, indices]
        seen = (scores > 0).any(axis=(1, 2)) | valid[:, indices].any(axis=1)
        points = np.concatenate([keypoints.positions[:, indices], scores[..., None]], axis=-1)[seen]
        labels = np.array(
            [video.tubes[n].label if n >= 0 and keyframe in video.tubes[n].frames else NO_LABEL for n in tubes[seen]],
            np.int64,
        )
        return Clip(
            frames=torch.from_numpy(points).permute(3, 1, 0, 2),
            boxes=torch.from_numpy(boxes[seen][:, indices]),
            valid=torch.from_numpy(valid[seen][:, indices]),
            labels=torch.from_numpy(labels),
            actor_masks=None,
            video_key=video.key,
            frame_indices=torch.from_numpy(indices),
            to_video=torch.tensor([1.0, 1.0, 0.0, 0.0]),
            video_size=(video.height, video.width),
            scene=-1 if video.scene is None else self._scene_numbers[video.scene],
            video_labels=torch.tensor(video.label_set, dtype=torch.int64),
        )

    def _read_persons(self, video: Video) -> _Persons:
        """Read the joints of a video, and find the tubes and boxes of its persons."""
        keypoints = read_keypoints(video)
        tubes = tubes_of_persons(keypoints, video.tubes)
        if self.boxes == "joints":
            boxes, valid = joint_boxes(keypoints.positions, keypoints.scores, self.grow)
        else:
            every = np.arange(video.num_frames)
            boxes, valid = (
                np.zeros((*keypoints.scores.shape[:2], 4), np.float32),
                np.zeros(keypoints.scores.shape[:2], bool),
            )
            for person in np.flatnonzero(tubes >= 0):
                boxes[person], valid[person] = video.tubes[tubes[person]].boxes_at(every)
        cut, left = cut_boxes(torch.from_numpy(boxes), torch.from_numpy(valid), video.height, video.width)
        return _Persons(keypoints, tubes, cut.numpy(), left.numpy())


def _unchanged(clip: Clip, generator: np.random.Generator) -> Clip:
    return clip
