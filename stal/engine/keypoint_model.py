"""The model of joints that mmengine's runners train and test: preprocessor, keypoint network, penalty."""

import torch
from torch import Tensor

from stal.engine.keypoint_preprocessor import KeypointPreprocessor
from stal.engine.model import ClipResult, clip_result
from stal.engine.penalized_model import PenalizedModel
from stal.engine.preprocessor import PreparedBatch
from stal.losses.penalty import Penalty
from stal.mixing.mask_sources import MaskSource, ProvenanceMasks
from stal.models.class_training import TrainOutput
from stal.models.detector import Tubelets
from stal.models.keypoint_pooling import KeypointPooling, PersonFeatures
from stal.models.keypoint_training import learn_clips, learn_persons
from stal.ops.tubelets import fill_frames
from stal.structures import Clip


class KeypointModel(PenalizedModel):
    """A network that tells what persons do by their joints, as mmengine's runners take it.

    The boxes of the persons are those of `KeypointDataset`. In testing each is there on the frames on which it has one.

    Args:
        detector: the network.
        data_preprocessor: makes batches of clips, and mixes them in training.
        penalty: a term on the scores that is added to the losses, such as `GradientPenalty`; None for none. It is on
            the scores of clips, a row for each of their labels, or on those of persons, as `detector.train_pool` says.
            No person changes the score of another: of persons, the penalty is 0 unless the masks are others.
        penalty_masks: says on which joints a score may depend; None for those of the persons who come from videos with
            the label, or of the person.
    """

    def __init__(
        self,
        detector: KeypointPooling,
        data_preprocessor: KeypointPreprocessor,
        penalty: Penalty | None = None,
        penalty_masks: MaskSource | None = None,
    ) -> None:
        super().__init__(None, data_preprocessor, penalty, penalty_masks or ProvenanceMasks())
        self.detector = detector

    def _learn(self, inputs: PreparedBatch) -> TrainOutput:
        learn = learn_clips if self.detector.train_pool == "clip" else learn_persons
        return learn(self.detector, inputs.batch)

    def _predict(self, inputs: PreparedBatch) -> list[ClipResult]:
        points = inputs.batch.clips
        scores = self.detector.predict(points, points[:, 2] > 0)
        return [_result(of_clip, clip) for of_clip, clip in zip(scores, inputs.clips, strict=True)]

    def _features(self, inputs: PreparedBatch) -> PersonFeatures:
        points = inputs.batch.clips
        return self.detector(points, points[:, 2] > 0)


def _result(scores: Tensor, clip: Clip) -> ClipResult:
    """Return the result of a clip: of the persons who have a box, as many scores as there are places."""
    rows = clip.valid.any(1)
    boxes, valid = clip.boxes[rows], clip.valid[rows]
    own = scores[: len(rows)][rows.to(scores.device)]
    return clip_result(Tubelets(fill_frames(boxes, valid), own, valid.to(torch.float32)), clip)
