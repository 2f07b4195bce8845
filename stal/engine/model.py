"""The model that mmengine's runners train and test: preprocessor, tube detector, gradient penalty."""

import dataclasses
from typing import Any

import numpy as np
import torch
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from torch import Tensor

from stal.data.proposals import ProposalFile
from stal.data.transforms import to_video_boxes
from stal.engine.preprocessor import ClipPreprocessor, PreparedBatch
from stal.errors import ConfigError
from stal.losses.gradient_penalty import GradientPenalty
from stal.mixing.provenance import actor_masks
from stal.models.detector import TubeDetector, Tubelets
from stal.ops.tubes import interpolate_frames
from stal.structures import Clip


@dataclasses.dataclass(frozen=True)
class ClipResult:
    """What was detected in one clip, in the frame of reference of its video.

    Attributes:
        video_key: the video.
        frames: (F,) 0-based frames of the video, from the first to the last of the clip without a gap.
        boxes: (R, F, 4) xyxy half-open pixels of the video.
        class_scores: (R, K) in [0, 1].
        presence: (R, F) in [0, 1]; the score of a class on a frame is its class score times the presence there.
    """

    video_key: str
    frames: np.ndarray
    boxes: np.ndarray
    class_scores: np.ndarray
    presence: np.ndarray


class DetectionModel(BaseModel):
    """A tube detector as mmengine's runners take it.

    Args:
        detector: the network.
        data_preprocessor: makes batches of clips, and mixes them in training.
        penalty: gradient penalty on the logits of the actors' own classes; None for none.
        proposals: where proposals come from: the detector's own (`network`), the annotation (`ground_truth`), which
            says how well actions are told apart if every actor is found, or a detections file (`*.npz`).
    """

    def __init__(
        self,
        detector: TubeDetector,
        data_preprocessor: ClipPreprocessor,
        penalty: GradientPenalty | None = None,
        proposals: str = "network",
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        if penalty is not None and detector.backbone.norm == "batch":
            raise ConfigError(
                "model.penalty: with norm='batch' a clip's gradient reaches the other clips of its batch; use "
                "norm='group' or norm='frozen_batch' in model.detector.backbone"
            )
        if proposals not in ("network", "ground_truth") and not proposals.endswith(".npz"):
            raise ConfigError(f"model.proposals = {proposals!r} is neither 'network', 'ground_truth' nor an .npz file")
        self.detector = detector
        self.penalty = penalty
        self.proposals = proposals
        self.proposal_file = ProposalFile(proposals) if proposals.endswith(".npz") else None
        if proposals != "network":  # or distributed training would wait for gradients that never come
            detector.proposals.requires_grad_(False)

    def forward(self, inputs: PreparedBatch, mode: str = "tensor") -> Any:
        """Return losses (`mode='loss'`), results per clip (`'predict'`) or features (`'tensor'`)."""
        if mode == "loss":
            return self._loss(inputs)
        if mode == "predict":
            tubelets = self.detector.predict(inputs.batch.clips, self._given_proposals(inputs))
            return [clip_result(t, clip) for t, clip in zip(tubelets, inputs.clips, strict=True)]
        return self.detector.backbone(inputs.batch.clips)

    def _given_proposals(self, inputs: PreparedBatch) -> list[Tensor] | None:
        """Return the keyframe boxes that replace the detector's own proposals; None for its own."""
        batch = inputs.batch
        if self.proposals == "network":
            return None
        if self.proposal_file is not None:
            return [self.proposal_file.keyframe_boxes(clip).to(batch.clips.device) for clip in inputs.clips]
        keyframe = batch.clips.shape[2] // 2
        return [boxes[valid[:, keyframe], keyframe] for boxes, valid in zip(batch.boxes, batch.valid, strict=True)]

    def _loss(self, inputs: PreparedBatch) -> dict[str, Tensor]:
        batch = inputs.batch
        step = MessageHub.get_current_instance().get_info("iter", 0)
        if self.penalty is None or not self.penalty.is_due(step):
            return self.detector.loss(batch, self._given_proposals(inputs)).losses
        # The input clip is a leaf here, inside the forward pass: only so do gradients average right in DDP.
        batch = dataclasses.replace(batch, clips=batch.clips.detach().requires_grad_())
        # A double backward in half precision is off by a fifth and more: mixed precision rests on these steps.
        with torch.autocast(batch.clips.device.type, enabled=False):
            output = self.detector.loss(batch, self._given_proposals(inputs))
            masks = actor_masks(batch)[output.actors]
            return output.losses | self.penalty(output.actor_logits, batch.clips, masks, output.clip_index)


def clip_result(tubelets: Tubelets, clip: Clip) -> ClipResult:
    """Return tubelets of a clip in the frame of reference of its video.

    Frames that were repeated at the ends of the video are dropped; between the frames of a clip with a stride, boxes
    and presence are interpolated.
    """
    sampled, first = np.unique(clip.frame_indices.numpy(), return_index=True)
    boxes = to_video_boxes(tubelets.boxes.cpu().float(), clip.to_video, clip.video_size).numpy()
    frames, boxes = interpolate_frames(sampled, boxes[:, first])
    _, presence = interpolate_frames(sampled, tubelets.presence.cpu().float().numpy()[:, first])
    return ClipResult(clip.video_key, frames, boxes, tubelets.class_scores.cpu().float().numpy(), presence)
