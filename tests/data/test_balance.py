from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from stal.data.balance import BalancedDraws, Candidate
from stal.errors import ConfigError
from stal.structures import Tube, Video


def videos_of(*labels: list[int]) -> list[Video]:
    """One video for each list, with a tube of each of its labels."""
    frames, boxes = np.arange(2), np.tile(np.float32([0, 0, 4, 4]), (2, 1))
    return [
        Video(
            f"v{v}", Path("v.avi"), 2, 8, 8, tubes=tuple(Tube(label, frames, boxes, id=i) for i, label in enumerate(of))
        )
        for v, of in enumerate(labels)
    ]


def name_of(candidate: Candidate) -> tuple[str, tuple[int, ...]]:
    return candidate.video.key, tuple(tube.id for tube in candidate.tubes)


def epoch_of(draws: BalancedDraws, num_clips: int, seed: int = 0) -> Counter:
    drawn = [draws.draw(p, num_clips, np.random.default_rng((seed, p))) for p in range(num_clips)]
    return Counter(map(name_of, drawn))


LONG_TAIL = videos_of([0, 0, 0], [0] * 6, [0] * 7, [1, 1, 1, 1], [3])  # class 2 has no tube


@pytest.mark.parametrize(
    ("balance", "shares"),
    [
        ("tube", {0: 16 / 21, 1: 4 / 21, 3: 1 / 21}),
        ("sqrt", {0: 4 / 7, 1: 2 / 7, 3: 1 / 7}),
        ("class", {0: 1 / 3, 1: 1 / 3, 3: 1 / 3}),
    ],
)
def test_classes_get_their_shares_and_tubes_equal_parts_of_them(balance, shares):
    draws = BalancedDraws(LONG_TAIL, balance)
    labels = np.array([candidate.tubes[0].label for candidate in draws.candidates])
    for label, share in shares.items():
        np.testing.assert_allclose(draws.shares[labels == label], share / (labels == label).sum())
    assert draws.shares.sum() == pytest.approx(1)


@pytest.mark.parametrize("balance", ["tube", "sqrt", "class"])
def test_an_epoch_has_every_tube_as_often_as_its_share_says_to_within_a_clip_at_either_end(balance):
    draws = BalancedDraws(LONG_TAIL, balance)
    for num_clips in (1, 20, 21, 100):
        counts = epoch_of(draws, num_clips)
        for candidate, share in zip(draws.candidates, draws.shares, strict=True):
            assert abs(counts[name_of(candidate)] - share * num_clips) < 2
    if balance == "tube":
        assert set(epoch_of(draws, 21).values()) == {1}


@pytest.mark.parametrize("balance", ["tube", "sqrt", "class"])
def test_over_many_epochs_the_shares_are_exact(balance):
    draws = BalancedDraws(LONG_TAIL, balance)
    num_epochs, num_clips = 400, 10
    counts = sum((epoch_of(draws, num_clips, seed) for seed in range(num_epochs)), Counter())
    found = np.array([counts[name_of(candidate)] for candidate in draws.candidates])
    expected = draws.shares * num_epochs * num_clips
    chi_square = ((found - expected) ** 2 / expected).sum()
    assert chi_square < 45.3  # 0.1 % of independent draws exceed it, with 20 degrees of freedom; these vary less


def test_videos_come_equally_often_whatever_they_hold():
    draws = BalancedDraws(LONG_TAIL, "video")
    drawn = [draws.draw(p, 15, np.random.default_rng(p)).video.key for p in range(15)]
    assert drawn == sorted(f"v{v}" for v in range(5) for _ in range(3))
    assert len(draws.draw(3, 15, np.random.default_rng(0)).tubes) == 6


@pytest.mark.parametrize("balance", ["video", "tube", "sqrt", "class"])
def test_one_tube_is_always_drawn(balance):
    draws = BalancedDraws(videos_of([3]), balance)
    assert epoch_of(draws, 5) == {("v0", (0,)): 5}
    assert draws.redraw({"v0"}, np.random.default_rng(0)) is None


@pytest.mark.parametrize("balance", ["video", "tube", "sqrt", "class"])
def test_another_draw_is_of_another_video_by_the_shares_of_those_that_are_left(balance):
    draws = BalancedDraws(LONG_TAIL, balance)
    left = draws.shares * [candidate.video.key not in ("v0", "v3") for candidate in draws.candidates]
    counts = Counter(name_of(draws.redraw(["v0", "v3"], np.random.default_rng(seed))) for seed in range(3000))
    assert not {"v0", "v3"} & {key for key, _ in counts}
    found = np.array([counts[name_of(candidate)] for candidate in draws.candidates])
    np.testing.assert_allclose(found / 3000, left / left.sum(), atol=0.04)


@given(st.integers(0, 40), st.lists(st.integers(0, 3), min_size=1, max_size=6), st.integers(0, 99))
def test_a_draw_follows_from_the_position_and_the_generator(position, labels, seed):
    draws, again = BalancedDraws(videos_of(labels), "sqrt"), BalancedDraws(videos_of(labels), "sqrt")
    first, second = (d.draw(position, 41, np.random.default_rng(seed)) for d in (draws, again))
    assert name_of(first) == name_of(second)


def test_an_unknown_balance_is_an_error():
    with pytest.raises((ConfigError, TypeCheckError), match=r"balance.*tubes"):  # the second where types are checked
        BalancedDraws(LONG_TAIL, "tubes")
