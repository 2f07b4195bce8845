"""The value that an error shows."""

import reprlib
from typing import Any

_MAX_LENGTH = 60
_MAX_BITS = 200  # of an integer; Python refuses to write those of more than 4300 digits


class _ShortRepr(reprlib.Repr):
    """A repr that leaves out the most of a large value.

    `repr` follows every path through a value. In one from a pickle, which may hold a list twice in every list or in
    itself, these may be more than can ever be followed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdict = 20
        self.maxstring = self.maxother = 500  # what is left out of one is left out of its middle

    def repr_int(self, x: int, level: int) -> str:
        """Return the digits of a number, unless they are many."""
        return repr(x) if x.bit_length() <= _MAX_BITS else f"<an integer of {x.bit_length()} bits>"

    repr_OrderedDict = reprlib.Repr.repr_dict  # noqa: N815  # the name of the type is a part of it


_repr = _ShortRepr().repr


def shorten(value: Any) -> str:
    """Return a value as a text of at most 60 characters."""
    text = _repr(value)
    return text if len(text) <= _MAX_LENGTH else f"{text[: _MAX_LENGTH - 3]}..."
