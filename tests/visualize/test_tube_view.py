import numpy as np
import pytest

from stal.errors import ShapeError
from stal.visualize.tube_view import TubeView

WITH_BOX = list(range(2, 10))  # frames of the made-up tube


def test_it_shows_magnitudes_or_signed_values_and_says_which(make_view):
    absolute, signed = make_view(), make_view(signed=True)
    assert absolute.heat.min() == 0 and absolute.heat.max() <= 1
    assert signed.heat.min() < -0.5
    assert absolute.method == "input gradient, absolute"
    assert signed.method == "input gradient, signed"
    assert absolute.scale == "0 to 1; 1 = largest of a clip"
    assert signed.scale == "-1 to 1; 1 = largest of a clip"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pathway": "slow"}, "input gradient through the slow pathway, absolute"),
        ({"method": "grad_cam_fast"}, "Grad-CAM of the fast pathway, absolute"),
        ({"method": "of_tomorrow"}, "of_tomorrow, absolute"),
    ],
)
def test_method_and_pathway_are_named(make_view, changes, said):
    assert make_view(**changes).method == said


def test_a_frame_is_titled_with_the_score_of_its_window(make_view):
    view = make_view()
    assert view.title(5) == "wave 0.75, surest of 3 detections"
    assert view.title(0) == "wave, surest of 3 detections: not on this frame"
    assert view.shares(5) == "energy in box 50%, box 25% of clip"
    assert view.shares(0) == ""


def test_frames_are_spread_over_those_with_a_box(make_view):
    view = make_view()
    assert np.flatnonzero(view.has_box).tolist() == WITH_BOX
    assert view.spread_frames(1) == [2]
    assert view.spread_frames(2) == [2, 9]
    assert view.spread_frames(3) == [2, 6, 9]
    assert view.spread_frames(100) == WITH_BOX


def test_without_a_box_they_are_spread_over_all(make_view):
    assert make_view(boxes=np.zeros((12, 4), np.float32)).spread_frames(2) == [0, 11]


@pytest.mark.parametrize(("size", "fps"), [((0, 4), 25.0), ((4, 4), 0.0)])
def test_a_video_without_size_or_rate_is_an_error(make_view, size, fps):
    with pytest.raises(ShapeError, match="iid/00001"):
        TubeView(make_view().tube, "wave", "", size, fps)
