"""How the weights of a file differ from those that a network has."""

from collections.abc import Mapping

from torch import Tensor

_NAMED_KEYS = 6  # how many names a text has of each kind


def describe_differences(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """Return a text of what is missing, left over, or of another shape; an empty one if nothing is.

    Args:
        own: the weights that the network has.
        given: those that it is to have.
    """
    differences = {
        "missing": [key for key in own if key not in given],
        "not in this model": [key for key in given if key not in own],
        "of another shape": [
            f"{key} {tuple(given[key].shape)} instead of {tuple(own[key].shape)}"
            for key in own
            if key in given and given[key].shape != own[key].shape
        ],
    }
    return "; ".join(
        f"{len(keys)} weights {what} ({', '.join(keys[:_NAMED_KEYS])}{', ...' if len(keys) > _NAMED_KEYS else ''})"
        for what, keys in differences.items()
        if keys
    )
