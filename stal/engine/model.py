"""The model that mmengine's runners train and test: preprocessor, tube detector, penalty."""

import contextlib
import dataclasses
from typing import Any

import numpy as np
import torch
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from torch import Tensor, nn

from stal.data.proposals import ProposalFile
from stal.data.transforms import to_video_boxes
from stal.engine.preprocessor import ClipPreprocessor, PreparedBatch
from stal.errors import ConfigError
from stal.losses.penalty import Penalty
from stal.losses.scored_actors import ScoredActors
from stal.mixing.mask_sources import MaskSource, ProvenanceMasks
from stal.models.detector import TrainOutput, TubeDetector, Tubelets
from stal.ops.tubes import interpolate_frames
from stal.structures import Clip, ClipBatch


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
        penalty: a term on the scores of the actors that is added to the losses, such as `GradientPenalty`; None for
            none.
        penalty_masks: says on which voxels an actor's scores may depend; None for those of its provenance.
        proposals: where proposals come from: the detector's own (`network`), the annotation (`ground_truth`), which
            says how well actions are told apart if every actor is found, or a detections file (`*.npz`).
    """

    def __init__(
        self,
        detector: TubeDetector,
        data_preprocessor: ClipPreprocessor,
        penalty: Penalty | None = None,
        penalty_masks: MaskSource | None = None,
        proposals: str = "network",
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        if penalty is not None and detector.backbone.norm == "batch":
            raise ConfigError(
                "model.penalty: with norm='batch' the scores of a clip depend on the other clips of its batch, also on "
                "those that a penalty changes or leaves out, and their gradients reach them; use norm='group' or "
                "norm='frozen_batch' in model.detector.backbone"
            )
        if proposals not in ("network", "ground_truth") and not proposals.endswith(".npz"):
            raise ConfigError(f"model.proposals = {proposals!r} is neither 'network', 'ground_truth' nor an .npz file")
        self.detector = detector
        self.penalty = penalty
        self.penalty_masks = penalty_masks or ProvenanceMasks()
        self.proposals = proposals
        self.proposal_file = ProposalFile(proposals) if proposals.endswith(".npz") else None
        if proposals != "network":  # or distributed training would wait for gradients that never come
            detector.proposals.requires_grad_(False)

    def forward(self, inputs: PreparedBatch, mode: str = "tensor") -> Any:
        """Return losses (`mode='loss'`), results per clip (`'predict'`) or features (`'tensor'`)."""
        if mode == "loss":
            return self._loss(inputs)
        if mode == "predict":
            return [clip_result(t, clip) for t, clip in zip(self.detect(inputs), inputs.clips, strict=True)]
        return self.detector.backbone(inputs.batch.clips)

    def detect(self, inputs: PreparedBatch) -> list[Tubelets]:
        """Return what is detected in each clip, in pixels of the clip."""
        return self.detector.predict(inputs.batch.clips, self._given_proposals(inputs))

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
        batch, penalty = inputs.batch, self.penalty
        step = MessageHub.get_current_instance().get_info("iter", 0)
        if penalty is None or not penalty.schedule.is_due(step):
            return self._with_idle_penalty(self.detector.loss(batch, self._given_proposals(inputs)).losses)
        exact = penalty.needs_input_gradient
        if exact:
            # The input clip is a leaf here, inside the forward pass: only so do gradients average right in DDP.
            batch = dataclasses.replace(batch, clips=batch.clips.detach().requires_grad_())
        # A double backward in half precision is off by a fifth and more: mixed precision rests on these steps.
        with torch.autocast(batch.clips.device.type, enabled=False) if exact else contextlib.nullcontext():
            output = self.detector.loss(batch, self._given_proposals(inputs))
            generator = self.data_preprocessor.generator_of(step, purpose="penalty")
            actors = self._scored_actors(batch, output, generator)
            return output.losses | penalty(actors, step=step, generator=generator)

    def _with_idle_penalty(self, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the losses of a step without the penalty, whose own weights get a gradient of 0.

        Distributed training would wait for gradients that never come.
        """
        if not isinstance(self.penalty, nn.Module):
            return losses
        idle = [0 * weight.sum() for weight in self.penalty.parameters()]
        return losses | {"loss_class": sum(idle, losses["loss_class"])}

    def _scored_actors(self, batch: ClipBatch, output: TrainOutput, generator: torch.Generator) -> ScoredActors:
        """Return what the penalty is told of the batch."""

        def score(clips: Tensor, frames: Tensor | None = None, rows: Tensor | None = None) -> Tensor:
            tubelets, clip_index, dropout = output.tubelets, output.clip_index, output.dropout
            if rows is not None:
                tubelets, dropout = tubelets[rows], dropout[rows]
                clip_index = clip_index[rows].unique(return_inverse=True)[1]
            if frames is not None:  # of the clips that are left
                each = torch.arange(len(tubelets), device=tubelets.device)
                tubelets = tubelets[each, frames[clip_index]][:, None].expand_as(tubelets)
            return self.detector.class_logits(clips, tubelets, clip_index, dropout)

        return ScoredActors(
            logits=output.logits,
            labels=torch.cat(list(batch.labels))[output.actors],
            clips=batch.clips,
            clip_index=output.clip_index,
            masks=self.penalty_masks(batch, output.actors, generator),
            label_weights=None if batch.label_weights is None else torch.cat(list(batch.label_weights))[output.actors],
            scenes=None if batch.scenes is None else batch.scenes[output.clip_index],
            features=output.features,
            share=output.share,
            score=score,
        )


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
