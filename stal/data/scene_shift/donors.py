"""Which video lends its scene to which other one."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from stal.data.scene_shift.actors import find_actors
from stal.data.scene_shift.kinds import MaskKind
from stal.errors import AnnotationError
from stal.structures import Annotations, Video


def random_source(seed: int, key: str) -> np.random.Generator:
    """Return a source of chance that depends on the seed and the key of a video, and on nothing else."""
    digest = hashlib.sha256(key.encode()).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest, np.uint32).tolist()])


def scene_name(video: Video, classes: Sequence[str]) -> str:
    """Return the scene of a video: its own name where the annotation has one, else the class that goes with it.

    A video without a scene is taken for the typical scene of its action (`Biking`), of its actions (`run+jump`), or,
    if it has no tube, for a scene of its own, named by its key.

    Args:
        video: the video.
        classes: names, in the order of the labels.
    """
    if video.scene is not None:
        return video.scene
    return "+".join(classes[label] for label in sorted({tube.label for tube in video.tubes})) or video.key


def choose_donors(annotations: Annotations, seed: int, mask: MaskKind) -> dict[str, Video]:
    """Draw for every video another one of its split, without a class in common and of another scene, by its key.

    The scene is drawn first, and then a video that shows it, so that scenes come about equally often. The draw depends
    on the seed, the key, and the videos that may be drawn, but not on their order. A video whose actors cover all of
    its frames has no scene to lend, and is not drawn.

    Args:
        annotations: the data set.
        seed: of all chance, not negative.
        mask: by what actors are removed from the scenes.

    Raises:
        DataNotFoundError: there are no silhouettes, though they were asked for.
        AnnotationError: there is no such other video.
    """
    videos = sorted(annotations.videos, key=lambda video: video.key)
    scenes = {video.key: scene_name(video, annotations.classes) for video in videos}
    labels = {video.key: {tube.label for tube in video.tubes} for video in videos}
    lenders = [video for video in videos if _shows_scene(video, mask)]
    donors = {}
    for video in annotations.videos:
        candidates: defaultdict[str, list[Video]] = defaultdict(list)
        for other in lenders:
            is_apart = scenes[other.key] != scenes[video.key] and not labels[other.key] & labels[video.key]
            if other.split == video.split and is_apart:
                candidates[scenes[other.key]].append(other)
        if not candidates:
            raise AnnotationError(
                f"video {video.key}: no other video of split {video.split!r} has another class and another scene, and "
                "shows it beside its actors, so none can lend it a scene; use more videos, or the kind stripe, "
                "scene_only or actor_only"
            )
        rng = random_source(seed, video.key)
        group = candidates[sorted(candidates)[rng.integers(len(candidates))]]
        donors[video.key] = group[rng.integers(len(group))]
    return donors


def _shows_scene(video: Video, mask: MaskKind) -> bool:
    try:
        return not find_actors(video, mask).hide_scene()
    except AnnotationError:  # broken silhouettes: the video itself is skipped for them, and named
        return False
