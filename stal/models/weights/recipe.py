"""What a file of PySlowFast says of its network beside the weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from stal.errors import CheckpointError

_FULL = 255  # PySlowFast normalises clips on the scale 0 to 1
Channels = tuple[float, float, float]


@dataclass(frozen=True)
class Recipe:
    """What a network was trained with; None where a file does not say it.

    Attributes:
        alpha: how many times fewer frames the slow pathway sees.
        is_detection: it detects actions, and does not classify clips.
        dilates_last: its last stage dilates.
        mean, std: of each channel, red first, on the scale 0 to 255.
        is_bgr: it takes blue first.
    """

    alpha: int | None = None
    is_detection: bool | None = None
    dilates_last: bool | None = None
    mean: Channels | None = None
    std: Channels | None = None
    is_bgr: bool = False


def read_recipe(text: str) -> Recipe:
    """Return what the text of a PySlowFast config says, as its training writes it into every checkpoint.

    Raises:
        CheckpointError: it is not one.
    """
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise CheckpointError(f"its `cfg` is not a config of PySlowFast: {error}") from error
    if not isinstance(config, Mapping) or "DATA" not in config:
        raise CheckpointError("its `cfg` is not a config of PySlowFast: it has no DATA")
    try:
        alpha, dilations = _value(config, "SLOWFAST", "ALPHA"), _value(config, "RESNET", "SPATIAL_DILATIONS")
        return Recipe(
            alpha=None if alpha is None else int(alpha),
            is_detection=_value(config, "DETECTION", "ENABLE"),
            dilates_last=None if dilations is None else dilations[-1][0] > 1,
            mean=_channels(_value(config, "DATA", "MEAN")),
            std=_channels(_value(config, "DATA", "STD")),
            is_bgr=bool(_value(config, "DATA", "REVERSE_INPUT_CHANNEL")),
        )
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise CheckpointError(f"its `cfg` is not a config of PySlowFast: {error}") from error


def _value(config: Mapping[str, Any], part: str, name: str) -> Any:
    return (config.get(part) or {}).get(name)


def _channels(values: list[float] | None) -> Channels | None:
    if values is None:
        return None
    red, green, blue = (_FULL * float(value) for value in values)
    return red, green, blue
