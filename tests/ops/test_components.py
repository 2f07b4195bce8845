"""Components of maps, at one threshold and at all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stal.ops.components import find_components, flood_components, has_area

THRESHOLDS = np.arange(50) / 50


def draw(*frames: str) -> np.ndarray:
    """A map of frames drawn as rows of digits, in tenths, separated by blanks."""
    return np.array([[[int(value) / 10 for value in row] for row in frame.split()] for frame in frames])


@pytest.mark.parametrize(
    ("frames", "boxes"),
    [
        pytest.param(["000 000", "000 000"], [], id="empty"),
        pytest.param(["999 999", "999 999"], [[[0, 0, 3, 2], [0, 0, 3, 2]]], id="whole"),
        pytest.param(["000 000", "090 000", "000 000"], [[[0, 0, 0, 0], [1, 0, 2, 1], [0, 0, 0, 0]]], id="one frame"),
        pytest.param(["900 000 009"], [[[0, 0, 1, 1]], [[2, 2, 3, 3]]], id="apart"),
        pytest.param(["900 090 000"], [[[0, 0, 2, 2]]], id="touching at a corner"),
        pytest.param(["90 00", "00 09"], [[[0, 0, 1, 1], [1, 1, 2, 2]]], id="touching at a corner of time"),
        pytest.param(["9", "0", "9"], [[[0, 0, 1, 1], [0] * 4, [0] * 4], [[0] * 4, [0] * 4, [0, 0, 1, 1]]], id="gap"),
        pytest.param(["50 06"], [[[1, 1, 2, 2]]], id="at the threshold is not over it"),
    ],
)
def test_a_component_has_a_tight_box_on_each_of_its_frames(frames, boxes):
    found = find_components(draw(*frames), 0.5)
    expected = np.array(boxes, np.float32).reshape(-1, len(frames), 4)
    np.testing.assert_array_equal(found.boxes, expected)
    np.testing.assert_array_equal(found.valid, expected[..., 2] > 0)


def test_peaks_are_the_largest_values_of_components():
    assert find_components(draw("700 600 009"), 0.5).peaks.tolist() == [0.7, 0.9]


def at_threshold(flooded, number: int, of_map: int) -> list:
    there = (flooded.maps == of_map) & (flooded.starts <= number) & (number < flooded.stops)
    return sorted(flooded.boxes[there].tolist())


@pytest.mark.parametrize("levels", [2, 5, 1000])
@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), size=st.tuples(*(st.integers(1, most) for most in (3, 4, 5, 5))))
def test_a_flood_finds_the_components_of_every_threshold(levels, seed, size):
    values = np.random.default_rng(seed).integers(0, levels + 1, size) / levels  # few levels have many ties
    flooded = flood_components(values, THRESHOLDS)
    for of_map, one in enumerate(values):
        for number, threshold in enumerate(THRESHOLDS):
            expected = find_components(one, float(threshold)).boxes
            assert at_threshold(flooded, number, of_map) == sorted(expected.tolist())


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_map_that_is_the_same_everywhere_is_one_component_or_none(value):
    flooded = flood_components(np.full((1, 2, 3, 4), value), THRESHOLDS)
    assert flooded.boxes.tolist() == [[[0, 0, 4, 3]] * 2] * int(value)
    assert (flooded.starts.tolist(), flooded.stops.tolist()) == (([0], [50]) if value else ([], []))


def test_boxes_have_an_area_if_they_are_wide_and_high():
    boxes = np.array([[0, 0, 0, 0], [0, 0, 1, 0], [1, 2, 3, 4], [3, 4, 1, 2]], np.float32)
    assert has_area(boxes).tolist() == [False, False, True, False]
