import numpy as np
import pytest

from stal.visualize.tube_picture import plot_tube
from stal.visualize.tube_space import INSIDE_SHARE, box_lines, space_title, tube_surfaces


def block(t: slice, y: slice, x: slice) -> np.ndarray:
    """A tube whose heat is 1 in a block, in clips of half the size of the video."""
    heat = np.zeros((12, 24, 32), np.float32)
    heat[t, y, x] = 1
    return heat


def test_a_surface_lies_around_what_is_strongest_in_pixels_of_the_video(make_view):
    heat = block(slice(4, 8), slice(8, 14), slice(16, 26))
    (surface,) = tube_surfaces(make_view(magnitude=heat))
    lowest, highest = surface.points.min(0), surface.points.max(0)
    assert (np.abs(lowest - [4, 32, 16]) <= [1, 3, 3]).all()
    assert (np.abs(highest - [8, 52, 28]) <= [1, 3, 3]).all()
    assert surface.positive
    assert surface.triangles.max() == len(surface.points) - 1


def test_a_surface_is_closed_also_at_the_border_of_the_video(make_view):
    (surface,) = tube_surfaces(make_view(magnitude=block(slice(0, 3), slice(0, 6), slice(0, 6))))
    edges = np.sort(surface.triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    _, counts = np.unique(edges, axis=0, return_counts=True)
    assert (counts == 2).all()
    assert surface.points.min() >= 0


def test_it_encloses_the_share_that_it_names(make_view):
    """By the divergence theorem, which needs triangles that turn the same way."""
    noise = np.random.default_rng(0).random((12, 24, 32)).astype(np.float32)
    view = make_view(magnitude=noise)
    (surface,) = tube_surfaces(view)
    a, b, c = (surface.points[surface.triangles[:, corner]].astype(np.float64) for corner in range(3))
    volume = abs(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)
    assert volume / (12 * 48 * 64) == pytest.approx(INSIDE_SHARE, abs=0.01)


def test_a_signed_tube_has_a_surface_for_each_sign(make_view):
    surfaces = {surface.positive: surface for surface in tube_surfaces(make_view(signed=True))}
    assert surfaces.keys() == {True, False}
    assert surfaces[False].points[:, 1].min() > 48 > surfaces[True].points[:, 1].max()  # against it at the right
    assert [surface.positive for surface in tube_surfaces(make_view())] == [True]


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_a_flat_tube_is_drawn_without_failing(make_view, value):
    view = make_view(magnitude=np.full((12, 24, 32), value, np.float32))
    assert len(tube_surfaces(view)) <= (value > 0)
    plot_tube(view, [])


@pytest.mark.parametrize("num_frames", [1, 2])
def test_a_short_video_has_a_surface(make_view, num_frames):
    heat = block(slice(0, 1), slice(4, 10), slice(4, 10))[:num_frames]
    boxes = np.tile(np.array([4, 4, 20, 20], np.float32), (num_frames, 1))
    numbers = np.full(num_frames, 0.5, np.float32)
    view = make_view(
        magnitude=heat, volume=heat, boxes=boxes, scores=numbers, inside_shares=numbers, volume_shares=numbers
    )
    assert len(tube_surfaces(view)) == 1
    plot_tube(view, [])


def test_boxes_are_lines_along_the_time_and_rings(make_view):
    view = make_view()
    points = np.concatenate(box_lines(view))
    assert points[:, 0].min() == 2.5 and points[:, 0].max() == 9.5  # the middles of frames 2 and 9
    assert set(points[:, 2]) == {10.0, 40.0}
    first = points[points[:, 0] == 2.5]
    assert {tuple(corner) for corner in first[:, 1:].tolist()} == {(12, 10), (32, 10), (32, 40), (12, 40)}


def test_a_gap_between_boxes_is_no_line(make_view):
    boxes = make_view().tube.boxes.copy()
    boxes[5:7] = 0
    for line in box_lines(make_view(boxes=boxes)):
        assert (line[:, 0] < 5).all() or (line[:, 0] > 7).all()


def test_without_boxes_there_are_no_lines(make_view):
    view = make_view(boxes=np.zeros((12, 4), np.float32))
    assert box_lines(view) == []
    plot_tube(view, [])


def test_the_title_says_what_is_seen(make_view):
    title = space_title(make_view(signed=True, pathway="slow"))
    assert title.splitlines()[0] == "wave, surest of 3 detections"
    for said in ("iid/00001", "through the slow pathway, signed", "energy in box 50%", "strongest 2%"):
        assert said in title
