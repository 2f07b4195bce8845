"""Which videos a training is validated on."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import Config

from stal.engine.validation import Validation, build_validation, spread_evenly
from stal.errors import AnnotationError, ConfigError
from stal.structures import Annotations, Video

VIDEOS = tuple(
    Video(f"{split}/{i}", Path("a.mp4"), 9, 6, 8, split=split) for split in ("train", "val") for i in range(6)
)
ANNOTATIONS = Annotations(("run", "jump"), VIDEOS)


def chosen(**settings) -> list[str]:
    annotations = Validation(**settings).choose(ANNOTATIONS)
    assert annotations.classes == ANNOTATIONS.classes
    return [video.key for video in annotations.videos]


def test_without_a_split_there_is_no_validation():
    assert Validation().choose(ANNOTATIONS) is None
    assert build_validation(Config({})) == Validation()


@pytest.mark.parametrize(
    ("num_videos", "expected"), [(1, [3]), (2, [1, 4]), (3, [1, 3, 5]), (6, list(range(6))), (None, list(range(6)))]
)
def test_videos_are_spread_over_the_split(num_videos, expected):
    assert chosen(split="val", num_videos=num_videos) == [f"val/{i}" for i in expected]


def test_a_split_that_is_not_there_is_an_error_that_lists_those_that_are():
    with pytest.raises(AnnotationError, match=r"'test'; the splits are \['train', 'val'\]"):
        Validation("test").choose(ANNOTATIONS)


@given(st.integers(0, 50), st.integers(0, 60))
def test_each_equal_part_gives_one_number(count, num_chosen):
    numbers = spread_evenly(count, num_chosen).tolist()
    assert len(numbers) == min(count, num_chosen)
    for part, number in enumerate(numbers):
        assert part * count <= number * len(numbers) + len(numbers) - 1
        assert number * len(numbers) < (part + 1) * count


@pytest.mark.parametrize("wrong", [{"interval": 0}, {"num_videos": 0}, {"num_pictures": -1}])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match="at least"):
        Validation("val", **wrong)


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ({"type": "stal.engine.validation.Validation", "splits": "val"}, "validation: Validation: .*'splits'.*split"),
        ({"split": "val"}, r"is not dict\(type=Validation"),
    ],
)
def test_another_description_is_an_error(described, message):
    with pytest.raises(ConfigError, match=message):
        build_validation(Config({"validation": described}))
