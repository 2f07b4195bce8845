"""How much of the gradient of an actor's score lies within the actor: a mean over the actors of a split."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from stal.attribution.methods import attribute
from stal.attribution.scores import gradient_tube
from stal.seeing.keyframe_actors import ShownSet


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
    shown = ShownSet.load(config_path, checkpoint, split, work_dir, options)
    tubes = [
        gradient_tube(attribute(shown.model.detector, actor.clip, actor.tubelet, actor.label), actor.mask)
        for actor in shown.actors(min_actors)
    ]
    return GradientShare(
        inside_share=float(np.mean([tube.inside_share for tube in tubes])),
        volume_share=float(np.mean([tube.volume_share for tube in tubes])),
        num_actors=len(tubes),
    )
