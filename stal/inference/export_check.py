"""Hold what an exported detector gives against what the detector gives that it was made of."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float32, Shaped
from torch import Tensor

from stal.engine.model import DetectionModel

TOLERANCE = 1e-4
"""By how much scores may differ from the detector's, and boxes as a part of the clip's longer side."""


@dataclass(frozen=True)
class Difference:
    """How much an exported detector differs from the one that it was made of.

    Attributes:
        boxes: largest difference of a coordinate, in pixels of the clip.
        scores: largest difference of a class score or a presence.
        clip_side: longer side of the clip, in pixels.
    """

    boxes: float
    scores: float
    clip_side: int

    @property
    def is_small(self) -> bool:
        """Whether it is within the tolerance."""
        return self.scores <= TOLERANCE and self.boxes <= TOLERANCE * self.clip_side


def compare(model: DetectionModel, outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> Difference:
    """Return how much the outputs of an exported detector differ from what the detector gives.

    With boxes as input, tubelets are compared in order. The detector's own proposals are in the order of their scores,
    of which some may be as good as equal: there each tubelet is compared with the exported one that is most like it.

    Args:
        model: the detector's, on the CPU.
        outputs: tubelets, class scores and presence that the exported detector gave, see `ExportableDetector`.
        inputs: what it was given.
    """
    clips = model.data_preprocessor.normalize(inputs[0])
    boxes = list(inputs[1]) if len(inputs) > 1 else None
    clip_side = max(clips.shape[-2:])
    largest = Difference(0.0, 0.0, clip_side)
    for clip, expected in enumerate(model.detector.every_tubelet(clips, boxes)):
        of_boxes, *of_scores = (
            _pairwise_difference(values[clip], own) for values, own in zip(outputs, expected, strict=True)
        )
        of_score = torch.maximum(*of_scores)
        rows = torch.arange(len(of_boxes))
        partners = rows if boxes is not None else torch.maximum(of_boxes / clip_side, of_score).argmin(1)
        largest = Difference(
            boxes=max([largest.boxes, *of_boxes[rows, partners].tolist()]),
            scores=max([largest.scores, *of_score[rows, partners].tolist()]),
            clip_side=clip_side,
        )
    return largest


def random_inputs(
    clip_shape: tuple[int, int, int], num_clips: int, num_boxes: int | None
) -> tuple[Shaped[Tensor, "B ..."], ...]:
    """Return clips of noise, and boxes of all sizes on their keyframes.

    Args:
        clip_shape: (frames, height, width) of the clips.
        num_clips: number of clips.
        num_boxes: boxes of each; None for clips alone.
    """
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (num_clips, 3, *clip_shape), dtype=torch.uint8, generator=generator)
    if num_boxes is None:
        return (frames,)
    corners = torch.rand(num_clips, num_boxes, 2, 2, generator=generator).sort(dim=2).values
    return frames, (corners * torch.tensor([clip_shape[2], clip_shape[1]])).flatten(2)


def _pairwise_difference(exported: Float32[Tensor, " P *D"], own: Float32[Tensor, " R *D"]) -> Float32[Tensor, " R P"]:
    """Return the largest difference of each pair of rows; infinite if a value is not a number."""
    difference = (exported[None] - own[:, None]).abs().flatten(2).amax(2)
    return difference.nan_to_num(nan=torch.inf)
