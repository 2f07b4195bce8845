"""From a config's dicts to objects: `dict(type=Class, a=1)` becomes `Class(a=1)`, inside out."""

import inspect
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.utils import get_object_from_string

from stal.errors import ConfigError
from stal.structures import Annotations


def build(config: Any, where: str = "config") -> Any:
    """Return what `config` describes; dicts without a `type`, lists and plain values keep their shape.

    Args:
        config: a value of a config; the `type` of a dict is a class or function, or its dotted path.
        where: name of the value in the config, for errors.

    Raises:
        ConfigError: a type is not known, or does not take an argument that it is given.
    """
    if isinstance(config, Mapping):
        arguments = {key: build(value, f"{where}.{key}") for key, value in config.items() if key != "type"}
        if "type" not in config:
            return arguments
        return call(config["type"], arguments, where)
    if isinstance(config, list | tuple):
        return type(config)(build(value, f"{where}[{i}]") for i, value in enumerate(config))
    return config


def build_annotations(config: Config, loader: str) -> Annotations:
    """Return the annotated videos that the data loader named `loader` (`train_dataloader`, ...) reads."""
    return build_all_annotations(config).of_split(config[loader]["dataset"]["split"])


def build_all_annotations(config: Config) -> Annotations:
    """Return the annotated videos of all splits; raise if the detector has another number of classes."""
    annotations: Annotations = build(config.data, "data")
    num_classes = config.model.detector.num_classes
    if num_classes != len(annotations.classes):
        raise ConfigError(
            f"model.detector.num_classes = {num_classes}, but the data have {len(annotations.classes)} classes: "
            f"{', '.join(annotations.classes)}"
        )
    return annotations


def call(type_: Any, arguments: dict[str, Any], where: str) -> Any:
    """Return `type_(**arguments)`; a wrong argument is a ConfigError that says what is accepted."""
    is_path = isinstance(type_, str) and all(part.isidentifier() for part in type_.split("."))
    target = get_object_from_string(type_) if is_path else type_
    if not callable(target):
        raise ConfigError(f"{where}.type = {type_!r} is not a class or function that can be imported")
    try:
        signature = inspect.signature(target)
    except ValueError as error:  # some types of Python's own
        raise ConfigError(f"{where}.type = {type_!r} does not say which arguments it takes") from error
    try:
        signature.bind(**arguments)
    except TypeError as error:
        name = getattr(target, "__name__", repr(target))
        raise ConfigError(f"{where}: {name}: {error}; it takes ({', '.join(signature.parameters)})") from error
    return target(**arguments)
