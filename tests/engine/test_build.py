from collections import OrderedDict
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import pytest
from mmengine.config import ConfigDict

from stal.engine.build import build
from stal.errors import ConfigError


@dataclass
class Wheel:
    size: int


@dataclass
class Car:
    wheels: object
    name: str = ""


def test_dicts_are_built_from_the_inside_out():
    car = build({"type": Car, "wheels": [{"type": Wheel, "size": 1}, {"type": Wheel, "size": 2}], "name": "red"})
    assert car == Car([Wheel(1), Wheel(2)], "red")


@pytest.mark.parametrize("plain", [None, 3, "text", [1, [2]], (1, (2, 3)), {}, {"a": {"b": 1}}, [], ()])
def test_what_has_no_type_keeps_its_shape(plain):
    built = build(plain)
    assert built == plain and type(built) is type(plain)


def test_a_dict_without_type_holds_built_values():
    assert build({"wheels": ({"type": Wheel, "size": 1}, 2)}) == {"wheels": (Wheel(1), 2)}


@pytest.mark.parametrize(
    ("path", "arguments", "expected"),
    [
        ("fractions.Fraction", {"numerator": 1, "denominator": 2}, Fraction(1, 2)),
        ("fractions.Fraction.from_float", {"f": 0.25}, Fraction(1, 4)),
    ],
)
def test_a_dotted_path_is_imported(path, arguments, expected):
    assert build(ConfigDict(type=path, **arguments)) == expected


def test_the_config_is_left_as_it_was():
    config = ConfigDict(type=Car, wheels=ConfigDict(type=Wheel, size=1))
    build(config)
    build(config)
    assert config == {"type": Car, "wheels": {"type": Wheel, "size": 1}}


@pytest.mark.parametrize(
    ("config", "messages"),
    [
        ({"type": Car, "weels": 4}, ["model: Car", "'weels'|'wheels'", r"it takes \(wheels, name\)"]),
        ({"type": Car}, ["model: Car", "'wheels'"]),
        ({"type": Car, "wheels": {"type": Wheel, "sise": 1}}, [r"model\.wheels: Wheel", r"it takes \(size\)"]),
        ({"type": Car, "wheels": [{"type": Wheel}]}, [r"model\.wheels\[0\]: Wheel", "'size'"]),
        ({"type": partial(Wheel, size=1), "colour": 2}, ["model: .*partial", "'colour'"]),
    ],
)
def test_a_wrong_argument_is_an_error_that_says_where_and_what_is_accepted(config, messages):
    with pytest.raises(ConfigError) as error:
        build(config, "model")
    for message in messages:
        assert error.match(message)


@pytest.mark.parametrize("kind", [3, None, "fractions", "fractions.Fractoin", "no_such_module.Thing", "", ".relative"])
def test_a_type_that_cannot_be_called_is_an_error(kind):
    with pytest.raises(ConfigError, match=r"model\.type = .* can be imported"):
        build({"type": kind}, "model")


def test_a_type_that_hides_its_arguments_is_an_error():
    with pytest.raises(ConfigError, match=r"model\.type = .*OrderedDict.* which arguments"):
        build({"type": OrderedDict, "a": 1}, "model")


def test_an_error_of_the_type_itself_is_passed_on():
    with pytest.raises(ZeroDivisionError):
        build({"type": Fraction, "numerator": 1, "denominator": 0})
