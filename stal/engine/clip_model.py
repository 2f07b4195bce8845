"""A clip classifier as mmengine's runners train and test it: no boxes in training, tubes in testing all the same."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from stal.attribution.class_maps import MapMethod, check_method, class_maps
from stal.engine.located_clip import LocatedClip, locate_actors
from stal.engine.model import clip_result
from stal.engine.penalized_model import PenalizedModel
from stal.engine.preprocessor import ClipPreprocessor, PreparedBatch
from stal.errors import ConfigError
from stal.losses.penalty import Penalty
from stal.mixing.chain import Chain, Mixer
from stal.mixing.cuboid_mix import CuboidMix
from stal.mixing.mask_sources import DifferenceMasks, MaskSource, ProvenanceMasks, RandomMasks, SourceClipMasks
from stal.mixing.still_mix import StillMix
from stal.models.class_training import TrainOutput
from stal.models.clip_classifier import ClipClassifier
from stal.models.detector import Tubelets
from stal.ops.components import find_components
from stal.ops.tubelets import fill_frames

_WITHOUT_BOXES = (CuboidMix, StillMix)
"""Mixers that ask for no boxes, and after which the voxels of a video have its labels."""


class ClipModel(PenalizedModel):
    """A clip classifier that is trained by the labels of videos, and tested by tubes around what it looks at.

        clip -> classifier -> a probability of each class, and a map of it over the clip (`class_maps`)
             -> connected components of the voxels over a threshold -> a box on every frame of each: its tubelet

    A tubelet's class score is the probability of the class times the peak of the map in it. Maps go from 0 to 1, so
    that the surest component of a clip has the score of the clip, and the others less. (Means instead of peaks would
    depend on the threshold, and rank a spot above a whole actor.) Its presence is 1 on the frames of the component.

    Results say how well the maps of the classes that act in a clip overlap their actors, for `MaxBoxAccV2-3D`.

    Args:
        detector: the classifier, under the name that networks have in all models.
        data_preprocessor: makes batches of clips, and mixes them in training.
        penalty: a term on the scores of clips that is added to the losses, a row for each of their labels, such as
            `GradientPenalty`; None for none.
        penalty_masks: says on which voxels the score of a label may depend; None for all that come from videos with the
            label. Sources that look for actors are refused: they would find none.
        maps: how maps are made, see `class_maps`.
        threshold: a voxel is in a component if the map is larger there; in [0, 1). `MaxBoxAccV2-3D` tries them all.
        min_score: classes whose probability is smaller have no tubelets.
    """

    def __init__(
        self,
        detector: ClipClassifier,
        data_preprocessor: ClipPreprocessor,
        penalty: Penalty | None = None,
        penalty_masks: MaskSource | None = None,
        maps: MapMethod = "cam",
        threshold: float = 0.5,
        min_score: float = 0.01,
    ) -> None:
        super().__init__(detector.backbone, data_preprocessor, penalty, penalty_masks or SourceClipMasks())
        check_method(maps)
        _check_mixer(data_preprocessor.mixer)
        _check_masks(self.penalty_masks)
        if not 0 <= threshold < 1 or not 0 <= min_score <= 1:
            raise ConfigError(
                f"ClipModel: threshold = {threshold} must be from 0 to below 1, as maps are from 0 to 1, and min_score "
                f"= {min_score} from 0 to 1"
            )
        self.detector = detector
        self.maps: MapMethod = maps
        self.threshold = threshold
        self.min_score = min_score

    def _learn(self, inputs: PreparedBatch) -> TrainOutput:
        return self.detector.loss(inputs.batch)

    def _features(self, inputs: PreparedBatch) -> Any:
        return self.detector.backbone(inputs.batch.clips)

    @torch.no_grad()
    def _predict(self, inputs: PreparedBatch) -> list[LocatedClip]:
        clips = inputs.batch.clips
        probabilities = self.detector(clips).logits.sigmoid()
        wanted = probabilities >= self.min_score
        shown = wanted.clone()
        for of_clip, labels in zip(shown, inputs.batch.labels, strict=True):
            of_clip[labels] = True
        clip_index, labels = shown.nonzero().unbind(1)
        maps = class_maps(self.detector, clips, clip_index, labels, self.maps).cpu().numpy()
        overlaps = locate_actors(maps, clip_index, labels, inputs.clips)
        results = []
        for number, clip in enumerate(inputs.clips):
            rows = ((clip_index == number) & wanted[clip_index, labels]).nonzero().squeeze(1)
            found = self._tubelets(maps[rows.cpu().numpy()], labels[rows], probabilities[number])
            results.append(LocatedClip.of(clip_result(found, clip), overlaps[number]))
        return results

    def _tubelets(
        self, maps: Float32[np.ndarray, "M T H W"], labels: Int64[Tensor, " M"], probabilities: Float32[Tensor, " K"]
    ) -> Tubelets:
        """Return the tubelets of some classes of a clip."""
        found = [find_components(of_class, self.threshold) for of_class in maps]
        num_found = torch.tensor([len(components.peaks) for components in found], dtype=torch.int64)
        label = labels.cpu().repeat_interleave(num_found)
        none = np.zeros((0, *maps.shape[1:2], 4), np.float32)
        boxes = torch.from_numpy(np.concatenate([none, *(components.boxes for components in found)]))
        valid = torch.from_numpy(np.concatenate([none[..., 0] > 0, *(components.valid for components in found)]))
        peaks = torch.from_numpy(np.concatenate([np.zeros(0), *(components.peaks for components in found)])).float()
        class_scores = torch.zeros(len(label), len(probabilities))
        class_scores[torch.arange(len(label)), label] = probabilities.cpu()[label] * peaks
        return Tubelets(fill_frames(boxes, valid), class_scores, valid.float())


def _check_masks(masks: MaskSource) -> None:
    """Refuse masks of actors: where none is known, they are empty, and any penalty is that of the full gradient."""
    source = masks.of if isinstance(masks, RandomMasks) else masks
    if isinstance(source, ProvenanceMasks | DifferenceMasks):
        raise ConfigError(
            f"model.penalty_masks = {masks}: a ClipModel knows no actors, whose voxels these are; use "
            "SourceClipMasks(), or the controls RandomMasks(of=SourceClipMasks()) and EmptyMasks()"
        )


def _check_mixer(mixer: Mixer | None) -> None:
    """Refuse mixers that move actors: they look for boxes, and whose a clip's labels are then no voxel says."""
    parts = mixer.mixers if isinstance(mixer, Chain) else (mixer,)
    for part in parts:
        if isinstance(part, Chain):
            _check_mixer(part)
        elif part is not None and not isinstance(part, _WITHOUT_BOXES):
            raise ConfigError(
                f"model.data_preprocessor.mixer = {type(part).__name__}: a ClipModel knows no boxes, and its labels "
                f"are those of voxels; mix by {' or '.join(kind.__name__ for kind in _WITHOUT_BOXES)}"
            )
