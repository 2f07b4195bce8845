"""How much of the gradient of an actor's score lies within the actor: a mean over the actors of a split."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from mmengine.device import get_device

from stal.attribution import GradientTube, gradient_tube, input_gradient
from stal.data.clips import ClipDataset
from stal.engine.checkpoint import load_weights
from stal.engine.config import load_run_config, with_options
from stal.engine.loader import build_loader
from stal.engine.model import DetectionModel
from stal.engine.runner import build_model
from stal.engine.tested_sets import read_tested_sets
from stal.errors import ConfigError
from stal.ops.masks import box_masks
from stal.ops.tubelets import fill_frames
from stal.structures import Clip


@dataclass(frozen=True)
class GradientShare:
    """Means over actors.

    Attributes:
        inside_share: share of the energy of the input gradient of the actor's own logit that lies in its box.
        volume_share: share of the clip's voxels in its box, which is what an even gradient would give.
        num_actors: how many there were.
    """

    inside_share: float
    volume_share: float
    num_actors: int


def measure_gradient_share(
    config_path: str,
    checkpoint: str,
    *,
    split: str | None = None,
    min_actors: int = 64,
    work_dir: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> GradientShare:
    """Return how much of the gradients of a detector lies in the actors, at their annotated boxes.

    Clips are taken evenly from the whole split until they show enough actors on their keyframes.

    Args:
        config_path: the config file that the checkpoint was trained with.
        checkpoint: the checkpoint, or a work directory, whose last one is taken.
        split: the split, or another set as `read_tested_sets` takes it; None for the split that the config tests on.
        min_actors: number of actors, or all if there are fewer.
        work_dir: None for `work_dirs/<config>`.
        options: settings of the config to change.

    Raises:
        ConfigError: the split shows no actor.
    """
    config = with_options(
        load_run_config(config_path, work_dir, options), {"test_dataloader.dataset.with_masks": False}
    )
    (tested,) = read_tested_sets(config, [split or config.test_dataloader.dataset.split])
    model = build_model(config)
    load_weights(model, checkpoint)
    model.to(get_device())
    clips = cast(ClipDataset, build_loader(config, "test_dataloader", tested.annotations, seed=0).dataset)
    tubes: list[GradientTube] = []
    for position in _spread(len(clips)):
        if len(tubes) >= min_actors:
            break
        tubes += _gradient_tubes(model, clips[position].pixels_to("cpu"))
    if not tubes:
        raise ConfigError(f"no clip of {tested.given} has an actor on its keyframe")
    return GradientShare(
        inside_share=float(np.mean([tube.inside_share for tube in tubes])),
        volume_share=float(np.mean([tube.volume_share for tube in tubes])),
        num_actors=len(tubes),
    )


def _spread(count: int) -> list[int]:
    """Return all positions below `count`, in an order whose beginnings are spread evenly: van der Corput's."""
    num_bits = max(count - 1, 1).bit_length()
    reversed_bits = (int(f"{number:0{num_bits}b}"[::-1], 2) for number in range(2**num_bits))
    return [position for position in reversed_bits if position < count]


def _gradient_tubes(model: DetectionModel, clip: Clip) -> list[GradientTube]:
    """Return the gradient tube of each actor that is on the keyframe, for its own class."""
    batch = model.data_preprocessor.prepare([clip]).batch
    clips, (boxes,), (valid,), (labels,) = batch.clips, batch.boxes, batch.valid, batch.labels
    *_, num_frames, height, width = clips.shape
    tubelets = fill_frames(boxes, valid)
    masks = box_masks(boxes, height, width) & valid[..., None, None]
    return [
        gradient_tube(input_gradient(model.detector, clips[0], tubelets[actor], int(labels[actor])), masks[actor])
        for actor in valid[:, num_frames // 2].nonzero().squeeze(1).tolist()
    ]
