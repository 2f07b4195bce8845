"""A detector as one function of tensors whose shapes depend on no values, as exporters want it."""

import torch
from jaxtyping import Float32, UInt8
from torch import Tensor, nn

from stal.engine.model import DetectionModel
from stal.models.fixed_proposals import fixed_proposals


class ExportableDetector(nn.Module):
    """What a detector sees in clips, before any tubelet is suppressed.

    Normalising the pixels is part of it; non-maximum suppression per class is not, see `stal.models.detector.suppress`.

    Args:
        model: a trained model; it is set to evaluation.
    """

    def __init__(self, model: DetectionModel) -> None:
        super().__init__()
        self.preprocessor = model.data_preprocessor
        self.detector = model.detector
        self.eval().requires_grad_(False)

    def forward(
        self, frames: UInt8[Tensor, "B 3 T H W"], boxes: Float32[Tensor, "B P 4"] | None = None
    ) -> tuple[Float32[Tensor, "B P T 4"], Float32[Tensor, "B P K"], Float32[Tensor, "B P T"]]:
        """Return boxes, class scores and presence of P tubelets a clip, see `Tubelets`.

        Args:
            frames: of the clips, RGB.
            boxes: on the keyframes, xyxy pixels of the clip; None for the detector's own proposals. Of these a clip may
                have less than P: the scores of the others are 0.
        """
        clips = self.preprocessor.normalize(frames)
        num_frames, height, width = clips.shape[2:]
        features = self.detector.backbone(clips)
        is_proposed = None
        if boxes is None:
            boxes, is_proposed = fixed_proposals(self.detector.proposals, features, (height, width))
        seen = self.detector.follow(features, boxes.flatten(0, 1), None, (num_frames, height, width))
        tubelets, scores, presence = (values.reshape(*boxes.shape[:2], *values.shape[1:]) for values in seen)
        if is_proposed is not None:
            scores = torch.where(is_proposed[..., None], scores, 0.0)
        return tubelets, scores, presence
