import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from stal.experiments.cells import plan_cells
from stal.experiments.results import estimate, paired_difference, read_result


def test_of_no_seed_there_is_nothing_and_of_one_no_deviation():
    assert estimate([]) is None
    alone = estimate([3.0])
    assert (alone.mean, alone.sd, alone.interval, alone.num_seeds) == (3.0, None, None, 1)


def test_mean_deviation_and_interval_are_those_worked_out_by_hand():
    of_three = estimate([1.0, 2.0, 6.0])  # deviations -2, -1, 3: variance 14 / 2
    assert of_three.mean == 3.0
    assert of_three.sd == pytest.approx(7**0.5)
    margin = 4.302653 * (7 / 3) ** 0.5  # Student's t of two degrees of freedom, 97.5 %
    assert of_three.interval == pytest.approx((3 - margin, 3 + margin), rel=1e-6)


def test_equal_numbers_have_an_interval_without_width():
    assert estimate([5.0, 5.0]).interval == (5.0, 5.0)


def test_differences_are_taken_seed_by_seed():
    ours, theirs = {0: 10.0, 1: 20.0, 2: 33.0, 5: 99.0}, {2: 30.0, 1: 18.0, 0: 9.0, 7: -99.0}
    difference = paired_difference(ours, theirs)  # 1, 2, 3
    assert (difference.mean, difference.sd, difference.num_seeds) == (2.0, 1.0, 3)
    assert paired_difference({0: 1.0}, {1: 1.0}) is None


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=8))
def test_the_interval_is_that_of_the_t_test(values):
    values = np.round(np.array(values) + np.arange(len(values)), 6)  # not all equal, or the test has no interval
    if np.ptp(values) == 0:
        return
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert estimate(values.tolist()).interval == pytest.approx((expected.low, expected.high), rel=1e-6, abs=1e-9)


@pytest.fixture
def planned(read):
    return plan_cells(read(), ["none/none/0"])[0]


def state(path, planned, digests, **changes) -> str:
    content = {"status": "done", "hash": planned.hash, "data": {"tiny": "1234"}, **changes}
    path.write_text(json.dumps(content))
    return read_result(path, planned, digests).state


def test_a_result_is_valid_only_for_its_recipe_and_data(planned, tmp_path):
    path = tmp_path / "result.json"
    assert read_result(path, planned, {}).state == "missing"
    assert state(path, planned, {"tiny": "1234"}) == "done"
    assert state(path, planned, {}) == "done"  # the data are not there to be compared
    assert state(path, planned, {"tiny": "4321"}) == "stale"
    assert state(path, planned, {}, hash="0") == "stale"
    assert state(path, planned, {}, status="failed") == "failed"
