"""Values in errors: short, and quick to write whatever they are."""

from collections import OrderedDict

import numpy as np
import pytest

from stal.data.formats.short_text import shorten


def bomb(kind=list):
    """A value that holds the one before it twice, forty times over: 2 ** 40 paths lead through it."""
    value = kind(["x"])
    for _ in range(40):
        value = kind([value, value])
    return value


def endless():
    value = []
    value.append(value)
    return value


def deep():
    value = []
    for _ in range(100_000):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -1.5,
        "text",
        "",
        [],
        [0, 1],
        (1,),
        {"b": 1},
        [[1, 2], [3]],
        list(range(15)),
        np.float32(1),
        "x" * 58,
    ],
)
def test_a_short_value_is_its_repr(value):
    assert shorten(value) == repr(value)


def test_a_long_value_is_cut_to_60_characters():
    assert shorten("a" * 100) == f"'{'a' * 56}..."
    assert shorten(list(range(100))) == f"{repr(list(range(100)))[:57]}..."
    assert len(shorten(np.zeros((300, 300)))) <= 60


@pytest.mark.parametrize(
    "value",
    [
        bomb(),
        bomb(tuple),
        endless(),
        deep(),
        {"a": bomb()},
        OrderedDict(a=bomb()),
        [OrderedDict(a=endless())],
        [["x" * 10**6] * 1000] * 1000,
    ],
    ids=["lists", "tuples", "itself", "deep", "dict", "ordered dict", "itself in an ordered dict", "large"],
)
def test_no_value_takes_long(value):
    assert len(shorten(value)) <= 60


def test_an_integer_that_python_does_not_write_is_described():
    assert shorten(10**5000) == "<an integer of 16610 bits>"
    assert shorten([-(10**5000)]) == "[<an integer of 16610 bits>]"
    assert shorten(2**64) == str(2**64)
