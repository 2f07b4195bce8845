"""How well maps of classes locate the actors of clips: what each clip gives, and what comes of a whole set."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float, Int64
from torch import Tensor

from stal.engine.model import ClipResult
from stal.metrics.max_box_acc import THRESHOLDS, MapOverlaps, best_overlaps
from stal.structures import Annotations, Clip


@dataclass(frozen=True)
class LocatedClip(ClipResult):
    """What was detected in a clip by maps of classes, and how well these locate who acts.

    Attributes:
        map_overlaps: (M, L) of the map of each class that acts in the clip, as of `best_overlaps`; none where the clip
            has no annotation.
    """

    map_overlaps: np.ndarray

    @classmethod
    def of(cls, result: ClipResult, map_overlaps: np.ndarray) -> "LocatedClip":
        """Return a result with the overlaps of its maps."""
        return cls(**{f.name: getattr(result, f.name) for f in fields(ClipResult)}, map_overlaps=map_overlaps)


def locate_actors(
    maps: Float[np.ndarray, "M T H W"],
    clip_index: Int64[Tensor, " M"],
    labels: Int64[Tensor, " M"],
    clips: Sequence[Clip],
) -> list[np.ndarray]:
    """Return for each clip (_, L) how much the maps of the classes that act in it overlap their actors.

    Frames that were repeated at the ends of a video are looked at once. Maps over as many frames are taken together:
    that is several times faster than one after the other.

    Args:
        maps: from 0 to 1; those of classes that do not act in their clip have no part in it.
        clip_index: the clip of each map.
        labels: the class of each map.
        clips: with the boxes of their actors, in the pixels of the maps.
    """
    alike: dict[int, list[tuple[int, np.ndarray, np.ndarray]]] = defaultdict(list)
    for row, (number, label) in enumerate(zip(clip_index.tolist(), labels.tolist(), strict=True)):
        clip = clips[number]
        acts = clip.labels == label
        if acts.any():
            _, first = np.unique(clip.frame_indices.numpy(), return_index=True)
            alike[len(first)].append((number, maps[row, first], clip.boxes[acts][:, first].numpy()))
    overlaps: list[list[np.ndarray]] = [[] for _ in clips]
    for group in alike.values():
        best = best_overlaps(np.stack([of_clip for _, of_clip, _ in group]), [tubes for *_, tubes in group])
        for (number, *_), of_map in zip(group, best, strict=True):
            overlaps[number].append(of_map)
    return [np.array(of_clip, np.float32).reshape(-1, len(THRESHOLDS)) for of_clip in overlaps]


class MapCollector:
    """Hold the overlaps of the maps of a set's clips, of each clip once, however often its result comes."""

    def __init__(self) -> None:
        self._clips: dict[tuple[str, int, int], np.ndarray] = {}

    def add(self, result: object) -> None:
        """Take in what a result says of maps, if it does."""
        if isinstance(result, LocatedClip):
            span = (result.video_key, int(result.frames[0]), int(result.frames[-1]))
            self._clips[span] = result.map_overlaps

    def merge(self, others: Iterable["MapCollector"]) -> "MapCollector":
        """Return a collector of all that this one and others hold."""
        merged = MapCollector()
        for part in (self, *others):
            merged._clips |= part._clips
        return merged

    def overlaps(self, annotations: Annotations) -> MapOverlaps | None:
        """Return the overlaps of all maps, in the order of the videos; None if no result said anything of maps."""
        if not self._clips:
            return None
        rows = {video.key: row for row, video in enumerate(annotations.videos)}
        spans = sorted(self._clips, key=lambda span: (rows[span[0]], *span[1:]))
        videos = np.repeat([rows[key] for key, *_ in spans], [len(self._clips[span]) for span in spans])
        return MapOverlaps(videos.astype(np.int64), np.concatenate([self._clips[span] for span in spans]))
