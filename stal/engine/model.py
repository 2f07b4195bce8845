"""The model that mmengine's runners train and test: preprocessor, tube detector, penalty."""

import dataclasses

import numpy as np
from torch import Tensor

from stal.data.proposals import ProposalFile
from stal.data.transforms import to_video_boxes
from stal.engine.penalized_model import PenalizedModel
from stal.engine.preprocessor import ClipPreprocessor, PreparedBatch
from stal.errors import ConfigError
from stal.losses.penalty import Penalty
from stal.mixing.mask_sources import MaskSource, ProvenanceMasks
from stal.models.backbone import PathwayFeatures
from stal.models.class_training import TrainOutput
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


class DetectionModel(PenalizedModel):
    """A tube detector as mmengine's runners take it.

    Args:
        detector: the network.
        data_preprocessor: makes batches of clips, and mixes them in training.
        penalty: a term on the scores of the actors that is added to the losses, such as `GradientPenalty`; None for
            none. Of a detector with `train_pool="clip"` it is on the scores of clips, a row for each of their labels.
        penalty_masks: says on which voxels a score may depend; None for those of its actors' provenance.
        proposals: where proposals come from: the detector's own (`network`), the annotation (`ground_truth`), which
            says how well actions are told apart if every actor is found, or a detections file (`*.npz`). With
            `train_pool="clip"` the file's boxes are the persons of the training too, in place of the annotated actors,
            unless the preprocessor has others.
    """

    def __init__(
        self,
        detector: TubeDetector,
        data_preprocessor: ClipPreprocessor,
        penalty: Penalty | None = None,
        penalty_masks: MaskSource | None = None,
        proposals: str = "network",
    ) -> None:
        super().__init__(detector.backbone, data_preprocessor, penalty, penalty_masks or ProvenanceMasks())
        if proposals not in ("network", "ground_truth") and not proposals.endswith(".npz"):
            raise ConfigError(f"model.proposals = {proposals!r} is neither 'network', 'ground_truth' nor an .npz file")
        self.detector = detector
        self.proposals = proposals
        self.proposal_file = ProposalFile(proposals) if proposals.endswith(".npz") else None
        if detector.train_pool == "clip" and data_preprocessor.persons is None:
            data_preprocessor.persons = self.proposal_file
        if proposals != "network":  # or distributed training would wait for gradients that never come
            detector.proposals.requires_grad_(False)

    def detect(self, inputs: PreparedBatch) -> list[Tubelets]:
        """Return what is detected in each clip, in pixels of the clip."""
        return self.detector.predict(inputs.batch.clips, self._given_proposals(inputs))

    def _learn(self, inputs: PreparedBatch) -> TrainOutput:
        return self.detector.loss(inputs.batch, self._given_proposals(inputs))

    def _predict(self, inputs: PreparedBatch) -> list[ClipResult]:
        return [clip_result(t, clip) for t, clip in zip(self.detect(inputs), inputs.clips, strict=True)]

    def _features(self, inputs: PreparedBatch) -> PathwayFeatures:
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
