"""Connected components of maps over clips, in space and time, as boxes on frames: at one threshold, and at all.

Two voxels over a threshold are connected if they touch, also by an edge or a corner: each has 26 neighbours. It is what
the 8 neighbours of a pixel, by which Choe et al. (2020) find contours in images, are in a clip.
"""

from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int, Int32, Int64
from scipy import ndimage

TOUCHING = np.ones((3, 3, 3), bool)
"""Which neighbours of a voxel are connected to it: all 26."""

_NOWHERE = np.iinfo(np.int32).max


class Components(NamedTuple):
    """The N components of a map at a threshold.

    Attributes:
        boxes: (N, T, 4) the tight xyxy half-open box on every frame, zero where a component has no voxel.
        peaks: (N,) the largest value of each.
    """

    boxes: Float32[np.ndarray, "N T 4"]
    peaks: Float64[np.ndarray, " N"]

    @property
    def valid(self) -> Bool[np.ndarray, "N T"]:
        """On which frames each component has a voxel: a run of frames, without a gap."""
        return has_area(self.boxes)


def find_components(values: Float[np.ndarray, "T H W"], threshold: float) -> Components:
    """Return the components of the voxels over a threshold, in the order of their first voxels.

    Args:
        values: a map.
        threshold: a voxel is over it if its value is larger.
    """
    values = values.astype(np.float64)
    component, num_components = ndimage.label(values > threshold, TOUCHING)
    place = component.nonzero()
    owner = component[place] - 1
    corners = np.full((num_components, len(values), 4), _NOWHERE, np.int32)
    np.minimum.at(corners, (owner, place[0]), _corners(place[1], place[2]))
    peaks = np.full(num_components, -np.inf)
    np.maximum.at(peaks, owner, values[place])
    return Components(_boxes(corners), peaks)


def has_area(boxes: Float[np.ndarray, "*N 4"]) -> Bool[np.ndarray, "*N"]:
    """Return which boxes have a width and a height, and so stand for something."""
    return np.asarray((boxes[..., 2:] > boxes[..., :2]).all(axis=-1))


@dataclass(frozen=True, eq=False)
class FloodedComponents:
    """The components of maps at every threshold: C of them, each for a run of thresholds at which it is the same.

    Attributes:
        maps: (C,) the map of each.
        boxes: (C, T, 4) the tight xyxy half-open box on every frame, zero where it has no voxel.
        starts: (C,) the lowest threshold, by its number, at which it is there as it is.
        stops: (C,) one past the highest.
    """

    maps: Int64[np.ndarray, " C"]
    boxes: Float32[np.ndarray, "C T 4"]
    starts: Int64[np.ndarray, " C"]
    stops: Int64[np.ndarray, " C"]


def flood_components(values: Float[np.ndarray, "N T H W"], thresholds: Float64[np.ndarray, " L"]) -> FloodedComponents:
    """Return the components of maps at every threshold: those of `find_components`, for each map and threshold.

    Nothing is labelled anew for a threshold. The thresholds are gone through from the highest down, as water that falls
    around islands: at each one only the voxels that come out are looked at. They are new islands, or belong to those
    that they touch, which may make one of several. So each voxel is looked at once, however many thresholds there are.

    Args:
        values: maps of one size; no component reaches from one to another.
        thresholds: strictly increasing.
    """
    levels = np.searchsorted(thresholds, values.astype(np.float64))  # how many thresholds a voxel is over
    # A border of one voxel, over no threshold, so that every voxel has 26 neighbours.
    padded = np.pad(levels, ((0, 0), (1, 1), (1, 1), (1, 1)))
    strides = (padded.shape[2] * padded.shape[3], padded.shape[3], 1)
    neighbours = np.array([np.dot(step, strides) for step in product((-1, 0, 1), repeat=3) if any(step)])
    of_map, *place = np.unravel_index(np.arange(padded.size), padded.shape)
    frame, row, column = (axis - 1 for axis in place)

    flat = padded.ravel()
    falling = np.argsort(-flat, kind="stable")
    num_out = np.searchsorted(-flat[falling], -np.arange(len(thresholds) + 2), side="right")  # over how many thresholds
    islands = _Islands(flat.size, num_frames=values.shape[1])
    for level in range(len(thresholds), 0, -1):
        out = falling[num_out[level + 1] : num_out[level]]
        if len(out):
            islands.rise(level, out, out[:, None] + neighbours, frame[out], _corners(row[out], column[out]))
    voxels, corners, starts, stops = islands.history()
    return FloodedComponents(of_map[voxels], _boxes(corners), starts, stops)


class _Joined(NamedTuple):
    """What comes of voxels that came out.

    Attributes:
        into: (V,) the island that each is a part of.
        kept: (K,) these islands, each once.
        lost: (L,) islands that are parts of others now.
        lost_into: (L,) of which.
    """

    into: Int64[np.ndarray, " V"]
    kept: Int64[np.ndarray, " K"]
    lost: Int64[np.ndarray, " L"]
    lost_into: Int64[np.ndarray, " L"]


class _Islands:
    """What has come out of the water so far, and the corners of its boxes.

    Islands have numbers in the order in which they come out. Where several become one, it has the number of the oldest.

    Args:
        num_voxels: of all maps.
        num_frames: of a map.
    """

    def __init__(self, num_voxels: int, num_frames: int) -> None:
        self._island = np.full(num_voxels, -1, np.int64)  # of each voxel, when it came out
        self._merged = np.zeros(0, np.int64)  # the island that each is now a part of
        self._corners = np.full((1, num_frames, 4), _NOWHERE, np.int32)  # with room for more islands
        self._changed: list[tuple[Int64[np.ndarray, " _"], ...]] = []  # islands, levels and a voxel of each
        self._corners_then: list[Int32[np.ndarray, "_ T 4"]] = []
        self._gone: list[tuple[Int64[np.ndarray, " _"], ...]] = []  # islands and levels

    def rise(
        self,
        level: int,
        out: Int64[np.ndarray, " V"],
        neighbours: Int64[np.ndarray, "V 26"],
        frames: Int64[np.ndarray, " V"],
        corners: Int32[np.ndarray, "V 4"],
    ) -> None:
        """Let voxels come out, all of one level, which is lower than those before.

        Args:
            level: how many thresholds they are over.
            out: the voxels.
            neighbours: theirs.
            frames: theirs.
            corners: theirs.
        """
        into, kept, lost, lost_into = self._join(out, neighbours)
        while len(self._corners) < len(self._merged):
            self._corners = np.concatenate([self._corners, np.full_like(self._corners, _NOWHERE)])
        np.minimum.at(self._corners, (into, frames), corners)
        np.minimum.at(self._corners, lost_into, self._corners[lost])
        one_voxel = np.zeros(len(self._merged), np.int64)
        one_voxel[into] = out
        self._changed.append((kept, np.full_like(kept, level), one_voxel[kept]))
        self._corners_then.append(self._corners[kept])
        self._gone.append((lost, np.full_like(lost, level)))

    def _join(self, out: Int64[np.ndarray, " V"], neighbours: Int64[np.ndarray, "V 26"]) -> _Joined:
        """Let voxels become islands, or parts of those that they touch."""
        num_before, num_new = len(self._merged), len(out)
        own = np.arange(num_before, num_before + num_new)  # at first each is an island
        self._island[out] = own
        beside = self._island[neighbours]
        voxel, side = (beside >= 0).nonzero()
        now = np.concatenate([self._merged, own])
        beside = now[beside[voxel, side]]
        touched = np.zeros(len(now), bool)
        touched[beside] = touched[own] = True
        islands = touched.nonzero()[0]  # rising, so that the new ones are the last
        place = touched.cumsum() - 1
        oldest = _oldest_linked(len(islands), place[own[voxel]], place[beside])
        is_kept = oldest == np.arange(len(islands))

        kept = islands[is_kept]
        is_new = kept >= num_before
        kept[is_new] = np.arange(num_before, num_before + is_new.sum())
        into = kept[is_kept.cumsum() - 1][oldest]  # the island that each is now a part of
        is_lost = (islands < num_before) & ~is_kept
        lost = islands[is_lost]
        merged = np.arange(num_before)
        merged[lost] = into[is_lost]
        self._merged = np.concatenate([merged[self._merged], kept[is_new]])
        self._island[out] = into[-num_new:]
        return _Joined(into[-num_new:], kept, lost, into[is_lost])

    def history(
        self,
    ) -> tuple[Int64[np.ndarray, " C"], Int32[np.ndarray, "C T 4"], Int64[np.ndarray, " C"], Int64[np.ndarray, " C"]]:
        """Return every island as it was between two changes: a voxel, its corners, and from which to which level."""
        if not self._changed:
            none = np.zeros(0, np.int64)
            return none, self._corners[:0], none, none
        islands, stops, voxels = (np.concatenate(each) for each in zip(*self._changed, strict=True))
        lost, levels_lost = (np.concatenate(each) for each in zip(*self._gone, strict=True))
        every, levels = np.concatenate([islands, lost]), np.concatenate([stops, levels_lost])
        order = np.lexsort((-levels, every))
        earlier, later = order[:-1], order[1:]
        same = every[earlier] == every[later]
        starts = np.zeros_like(levels)  # an island that nothing happens to any more is there down to the last threshold
        starts[earlier[same]] = levels[later[same]]
        return voxels, np.concatenate(self._corners_then), starts[: len(stops)], stops


def _oldest_linked(
    num_islands: int, first: Int64[np.ndarray, " E"], second: Int64[np.ndarray, " E"]
) -> Int64[np.ndarray, " N"]:
    """Return for each island the lowest number among all that links connect it to, over however many others.

    Of a few islands SciPy's `connected_components` would find it as well, but not in a tenth of a millisecond.
    """
    oldest = np.arange(num_islands)
    while True:
        lower = np.minimum(oldest[first], oldest[second])
        before = oldest.copy()
        np.minimum.at(oldest, first, lower)
        np.minimum.at(oldest, second, lower)
        oldest = oldest[oldest]
        if (oldest == before).all():
            return oldest


def _corners(rows: Int[np.ndarray, " V"], columns: Int[np.ndarray, " V"]) -> Int32[np.ndarray, "V 4"]:
    """Return (x1, y1, -x2, -y2) of the boxes of voxels, of which the smallest are those of the box of all."""
    return np.stack([columns, rows, -columns - 1, -rows - 1], axis=1).astype(np.int32)


def _boxes(corners: Int32[np.ndarray, "*N 4"]) -> Float32[np.ndarray, "*N 4"]:
    """Return the boxes of corners; zero where there are none."""
    boxes = corners * np.array([1, 1, -1, -1], np.int32)
    return np.where(corners[..., :1] == _NOWHERE, 0, boxes).astype(np.float32)
