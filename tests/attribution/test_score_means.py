import numpy as np
import pytest

from stal.attribution.score_means import mean_scores
from stal.metrics.resampling import draw_videos

SCORES = np.array([[0.0, 1.0], [1.0, 1.0], [0.5, 1.0], [0.5, -1.0]])
VIDEOS = np.array([0, 0, 1, 2])
LABELS = np.array([4, 4, 4, 1])


def test_values_are_means_over_actors_and_intervals_are_of_drawn_videos():
    (first, second), of_classes = mean_scores(SCORES, VIDEOS, LABELS, seed=3)
    assert first.value == 0.5 and second.value == 0.5
    draws = draw_videos(3, 1000, 3)[:, 1:]
    means = [SCORES[np.repeat(np.arange(4), draw[VIDEOS].astype(int)), 1].mean() for draw in draws.T]
    assert second.interval == pytest.approx((np.quantile(means, 0.025), np.quantile(means, 0.975)))
    assert set(of_classes) == {1, 4}
    assert of_classes[4][0].value == 0.5 and of_classes[1][1].value == -1


def test_one_video_has_no_interval():
    of_all, of_classes = mean_scores(SCORES, VIDEOS, LABELS)
    assert all(mean.interval is not None for mean in (*of_all, *of_classes[4]))
    assert [mean.interval for mean in of_classes[1]] == [None, None]
    alone, _ = mean_scores(SCORES[:1], VIDEOS[:1], LABELS[:1])
    assert [tuple(mean) for mean in alone] == [(0.0, None), (1.0, None)]


def test_an_interval_is_that_of_its_seed():
    assert mean_scores(SCORES, VIDEOS, LABELS, seed=1) == mean_scores(SCORES, VIDEOS, LABELS, seed=1)
