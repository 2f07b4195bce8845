"""Pictures of a few clips at every validation: annotations, detections, and where the surest one's score comes from."""

from collections.abc import Sequence
from typing import cast

import numpy as np
from jaxtyping import Int64, UInt8
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from stal.attribution.methods import attribute
from stal.attribution.scores import gradient_tube
from stal.data.clips import ClipDataset
from stal.engine.model import DetectionModel
from stal.engine.validation import spread_evenly
from stal.models.detector import Tubelets
from stal.ops.masks import box_masks
from stal.ops.tubelets import fill_frames
from stal.structures import Clip
from stal.visualize.clip_picture import ShownTubelet, draw_clip

_MAX_DETECTIONS = 3  # in a picture
_MIN_PRESENCE = 0.5


class ValidationPictures(Hook):
    """Draw the middle clips of some videos, spread over those that are validated on, the same every time.

    The pictures go where the runner's visualizer has its backends: as PNG into `vis_data/vis_image` of the training's
    folder, and to TensorBoard if that is on.

    Args:
        num_pictures: how many clips.
    """

    priority = "ABOVE_NORMAL"  # before EMAHook takes back the averaged weights, which the metrics are of

    def __init__(self, num_pictures: int) -> None:
        self.num_pictures = num_pictures

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Draw them, in the first process."""
        if runner.rank != 0:
            return
        dataset = cast(ClipDataset, runner.val_dataloader.dataset)
        model = cast(DetectionModel, getattr(runner.model, "module", runner.model))
        for position in middle_clips(dataset, self.num_pictures).tolist():
            clip = dataset[position].pixels_to("cpu")
            name = f"{clip.video_key}_frame_{int(clip.frame_indices[len(clip.frame_indices) // 2])}".replace("/", "_")
            picture = draw_detections(model, clip, dataset.annotations.classes)
            runner.visualizer.add_image(name, picture, step=runner.iter)


def middle_clips(dataset: ClipDataset, num_videos: int) -> Int64[np.ndarray, " n"]:
    """Return the positions of the middle test clips of some videos, which are spread evenly."""
    counts = np.array(list(dataset.num_clips.values()), np.int64)
    chosen = spread_evenly(len(counts), num_videos)
    return (counts.cumsum() - counts + counts // 2)[chosen]


def draw_detections(model: DetectionModel, clip: Clip, classes: Sequence[str]) -> UInt8[np.ndarray, "H W 3"]:
    """Return a picture of a clip with its actors, the surest detections, and the gradient of the surest one's logit.

    Where nothing is detected, the gradient is that of the first actor, for its own class.

    Args:
        model: in evaluation mode.
        clip: from a test's data set, transformed.
        classes: their names.
    """
    inputs = model.data_preprocessor.prepare([clip])
    (found,) = model.detect(inputs)
    found = Tubelets(*(part.cpu() for part in found))
    rows = found.class_scores.amax(1).argsort(descending=True)[:_MAX_DETECTIONS].tolist()
    annotated = [
        ShownTubelet((boxes * valid[:, None]).numpy(), classes[label])
        for boxes, valid, label in zip(clip.boxes, clip.valid, clip.labels.tolist(), strict=True)
    ]
    detected = [_shown(found, row, classes) for row in rows]
    explained, heat = None, np.zeros((len(clip.frame_indices), 1, 1), np.float32)
    target = _surest(found, rows) or _first_actor(clip)
    if target is not None:
        tubelet, label = target
        gradient = attribute(model.detector, inputs.batch.clips[0], tubelet, label)
        tube = gradient_tube(gradient, box_masks(tubelet, *gradient.shape[-2:]).to(gradient.device))
        heat = tube.saliency.cpu().numpy()
        text = (
            f"|gradient| of the logit of {classes[label]}, 1 = its largest in the clip; "
            f"energy in box {tube.inside_share:.0%}, box {tube.volume_share:.0%} of clip"
        )
        explained = ShownTubelet(tubelet.numpy(), text)
    first, last = int(clip.frame_indices[0]), int(clip.frame_indices[-1])
    title = f"{clip.video_key}, frames {first} to {last}" + ("" if detected else ": nothing detected")
    return draw_clip(title, clip.frames.permute(1, 2, 3, 0).numpy(), annotated, detected, explained, heat)


def _shown(found: Tubelets, row: int, classes: Sequence[str]) -> ShownTubelet:
    score, label = found.class_scores[row].max(0)
    is_there = found.presence[row] >= _MIN_PRESENCE
    text = f"detected: {classes[int(label)]} {float(score):.2f}, on {float(is_there.float().mean()):.0%} of the frames"
    return ShownTubelet((found.boxes[row] * is_there[:, None]).numpy(), text)


def _surest(found: Tubelets, rows: Sequence[int]) -> tuple[Tensor, int] | None:
    """Return the tubelet and the class of the first of some detections; None if there is none."""
    return (found.boxes[rows[0]], int(found.class_scores[rows[0]].argmax())) if rows else None


def _first_actor(clip: Clip) -> tuple[Tensor, int] | None:
    """Return the tubelet and the class of the first actor; None if the clip shows none."""
    return (fill_frames(clip.boxes, clip.valid)[0], int(clip.labels[0])) if len(clip.labels) else None
