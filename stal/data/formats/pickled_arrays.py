"""What a pickle gets in place of NumPy's own functions to build arrays.

NumPy believes what a pickle says of memory: an array of objects over a buffer takes the bytes for addresses, types can
be told to hold objects that are not there, and texts to have characters that do not exist. Each of these was seen to
end the process, and could run code. Here only numbers and texts are built, from bytes that are checked.
"""

import re
from typing import Any

import numpy as np

from stal.data.formats.short_text import shorten

_CODE = re.compile(r"[<>=|]?(?:[biufSU]\d{1,6}|\?)", re.ASCII)


class PickledType:
    """The type of an array's values; what the pickle says later may change the order of its bytes alone."""

    def __init__(self, code: str, *flags: Any) -> None:
        """Take the code of a type, such as `u1` or `<f4`; the flags are for types of records."""
        if not isinstance(code, str) or not _CODE.fullmatch(code):
            raise ValueError(f"an array of type {shorten(code)}, where annotations have numbers and texts")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take the order of the bytes out of what `numpy.dtype.__reduce__` writes."""
        _, order, *of_records = state[:5]
        if order not in ("<", ">", "=", "|") or of_records != [None, None, None]:
            raise ValueError("an array of records, where annotations have numbers and texts")
        self.dtype = self.dtype.newbyteorder(order)

    def checked(self, raw: Any) -> bytes:
        """Return bytes that are to be values of this type; Python 2 wrote them as a text."""
        data = raw.encode("latin-1") if isinstance(raw, str) else bytes(memoryview(raw))
        if self.dtype.kind == "U":
            data.decode("utf-32-be" if self.dtype.str[0] == ">" else "utf-32-le")
        return data


class PickledArray(np.ndarray):
    """An array that checks what it is filled with; else an array like any other."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take shape, type, order and bytes, as `numpy.ndarray.__reduce__` writes them."""
        shape, kind, is_fortran, raw = state[-4:]
        checked: Any = (1, shape, kind.dtype, bool(is_fortran), kind.checked(raw))
        super().__setstate__(checked)


def empty_array(*arguments: Any) -> PickledArray:
    """Return an array to be filled, in place of `ndarray((0,), ...)` and `_reconstruct(ndarray, (0,), ...)`."""
    if (0,) not in arguments[:2] or len(arguments) > 3:
        raise ValueError("an array over memory that is not its own")
    return PickledArray((0,), np.int8)


def scalar(kind: PickledType, raw: Any = b"") -> Any:
    """Return one value."""
    data = kind.checked(raw)
    return np.frombuffer(data, kind.dtype)[0] if data else kind.dtype.type()


def array_of_buffer(buffer: Any, kind: PickledType, shape: tuple[int, ...], order: str, axes: Any = None) -> np.ndarray:
    """Return the array of a pickle of protocol 5, in place of `_frombuffer`."""
    array = np.frombuffer(bytearray(kind.checked(buffer)), kind.dtype)
    if order == "K" and axes is not None:
        return array.reshape(shape).transpose(axes)
    return array.reshape(shape, order="F" if order == "F" else "C")


def latin_1_bytes(text: str, encoding: str) -> bytes:
    """Return the bytes that a pickle has as a text, in place of `codecs.encode`, which knows other encodings too."""
    if encoding != "latin1":
        raise ValueError(f"bytes in the encoding {shorten(encoding)}, where pickles have latin1")
    return text.encode("latin-1")
