"""Structured keypoint pooling: classes of clouds of joints, pooled over persons in training and not in testing.

After Hachiuma, Sato, Sekii, "Unified Keypoint-based Action Recognition Framework via Structured Keypoint Pooling",
CVPR 2023, small: joints are points, every block is a shared perceptron and a maximum over a group of points (PointNet,
Qi et al. 2017), and groups are first the joints of a person on a frame and then the frames of a person.
"""

from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from stal.errors import ConfigError, ShapeError
from stal.structures import JOINTS

PooledOver = Literal["person", "clip"]


class PersonFeatures(NamedTuple):
    """What a clip of joints shows of each person.

    Attributes:
        values: (B, P, D).
        there: (B, P) where a person has any joint; the others are places without one.
    """

    values: Float[Tensor, "B P D"]
    there: Bool[Tensor, "B P"]


class PointBlock(nn.Module):
    """See every point of a group by itself, and then beside the maximum of its group; their order does not matter."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.alone = _perceptron(in_channels, out_channels)
        self.beside = _perceptron(2 * out_channels, out_channels)

    def forward(self, points: Float[Tensor, "*G N C"], there: Bool[Tensor, "*G N"]) -> Float[Tensor, "*G N D"]:
        """Return the features of the points; those that are not `there` change no other."""
        alone = self.alone(points)
        of_group = largest(alone, there).unsqueeze(-2).expand_as(alone)
        return self.beside(torch.cat([alone, of_group], dim=-1))


class KeypointPooling(nn.Module):
    """Class logits of persons, or of clips, from joints.

        joints (x, y, score) + which joint + which frame -> block over the joints of a person on a frame -> maximum
            + which frame -> block over the frames of a person -> maximum: features of a person
            -> (clip: maximum over its persons) -> linear: class logits

    Features do not depend on the order of persons, on places that nobody takes, or on where joints that are not there
    would be. Nothing is normalised over clips.

    Args:
        num_classes: number of classes.
        num_frames: T of the clips.
        channels: D.
        train_pool: what learns a label: the `person` whose label it is, or the `clip`, which has those of its videos.
        test_pool: whose class scores a person has: its own, or those of its `clip`. The latter is the lower line: who
            does what is told by chance.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        num_frames: int,
        channels: int = 64,
        train_pool: PooledOver = "clip",
        test_pool: PooledOver = "person",
    ) -> None:
        super().__init__()
        for name, value in (("train_pool", train_pool), ("test_pool", test_pool)):
            if value not in get_args(PooledOver):
                raise ConfigError(f"KeypointPooling: {name} = {value!r} is neither 'person' nor 'clip'")
        if min(num_classes, num_frames, channels) < 1:
            raise ConfigError(
                f"KeypointPooling: num_classes = {num_classes}, num_frames = {num_frames} and channels = {channels} "
                "must be at least 1"
            )
        self.num_frames = num_frames
        self.train_pool = train_pool
        self.test_pool = test_pool
        self.enter = nn.Linear(3, channels)
        self.which_joint = nn.Parameter(torch.randn(len(JOINTS), channels) / 2)
        self.which_frame = nn.Parameter(torch.randn(2, num_frames, channels) / 2)  # of joints, and of frames
        self.joints = PointBlock(channels, channels)
        self.frames = PointBlock(channels, channels)
        self.classify = nn.Linear(channels, num_classes)

    def forward(self, points: Float[Tensor, "B 3 T P J"], there: Bool[Tensor, "B T P J"]) -> PersonFeatures:
        """Return the features of the persons of clips.

        Args:
            points: x, y and score, see `normalize_persons`.
            there: which joints are there.

        Raises:
            ShapeError: the clips have another number of frames or joints.
        """
        _, _, num_frames, _, num_joints = points.shape
        if (num_frames, num_joints) != (self.num_frames, len(JOINTS)):
            raise ShapeError(
                f"clips of {num_frames} frames and {num_joints} joints: this network was made for num_frames = "
                f"{self.num_frames} and {len(JOINTS)} joints; set model.detector.num_frames to num_frames_clip"
            )
        of_joints, of_frames = self.which_frame[:, :, None]
        x = self.enter(points.movedim(1, -1)) + self.which_joint + of_joints[:, None]
        x = largest(self.joints(x, there), there)  # (B, T, P, D)
        on_frame = there.any(-1).transpose(1, 2)
        x = (x + of_frames).transpose(1, 2)
        return PersonFeatures(largest(self.frames(x, on_frame), on_frame), on_frame.any(-1))

    def pool(self, persons: PersonFeatures) -> Float[Tensor, "B D"]:
        """Return the features of every clip: the largest of its persons, 0 if there is none."""
        return largest(persons.values, persons.there)

    @torch.no_grad()
    def predict(self, points: Float[Tensor, "B 3 T P J"], there: Bool[Tensor, "B T P J"]) -> Float[Tensor, "B P K"]:
        """Return the class scores of every person, in [0, 1], see `test_pool`."""
        persons = self(points, there)
        if self.test_pool == "person":
            return self.classify(persons.values).sigmoid()
        return self.classify(self.pool(persons)).sigmoid()[:, None].expand(-1, points.shape[3], -1)


def largest(values: Float[Tensor, "*G N D"], there: Bool[Tensor, "*G N"]) -> Float[Tensor, "*G D"]:
    """Return the largest value of each channel over the members of a group that are there; 0 without one."""
    if values.shape[-2] == 0:
        return values.sum(-2)
    found = values.masked_fill(~there[..., None], -torch.inf).amax(-2)
    return torch.where(there.any(-1, keepdim=True), found, 0.0)


def _perceptron(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return a perceptron of two layers; its normalisation is over the channels of one point."""
    return nn.Sequential(
        nn.Linear(in_channels, out_channels),
        nn.LayerNorm(out_channels),
        nn.SiLU(),
        nn.Linear(out_channels, out_channels),
    )
