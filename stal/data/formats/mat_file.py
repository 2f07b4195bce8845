"""Read MATLAB files of version 5 to 7.2, without trusting what is in them.

Format: MathWorks, MAT-File Format (level 5). Behind a header of 128 bytes stand elements::

    tag: type and number of bytes | data | padding to 8 bytes

An array is an element whose data are elements again: flags, size, name, and then its values, or the arrays of its
fields and cells. A whole array may be packed into a compressed element.

`scipy.io.loadmat` reads the same files, but on broken ones it ends the process: among files with up to six changed
bytes it met a segmentation fault within seconds.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from stal.errors import AnnotationError, DataNotFoundError

_HEADER_SIZE = 128
_MAX_BYTES = 1 << 28  # of a file, and of a compressed array; the annotations of UCF101-24 unpack to a hundredth of it
_MAX_DEPTH = 16

# Types of elements.
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16-{}", 16: "utf-8", 17: "utf-16-{}", 18: "utf-32-{}"}
_ARRAY, _COMPRESSED = 14, 15
# Classes of arrays; one of numbers may be stored in a smaller type than its own.
_CELL, _STRUCT, _CHAR = 1, 2, 4
_NUMERIC = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_COMPLEX_FLAG = 0x800


def load_mat(path: str | Path, variable: str) -> Any:
    """Load one variable of a MATLAB file.

    Args:
        path: the file.
        variable: name of the variable.

    Returns:
        Numbers as an array with the shape that they have in MATLAB, a text as a str, an array of structures as a list
        of dicts and one of cells as a list, both in column-major order.

    Raises:
        DataNotFoundError: there is no such file.
        AnnotationError: it is no MATLAB file of these versions, is broken, has no such variable, or the variable holds
            what no annotation needs, such as an object.
    """
    path = Path(path)
    if not path.is_file():
        raise DataNotFoundError(f"{path}: there is no such annotation file (data/README.md says where to get it)")
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise AnnotationError(f"{path}: the file cannot be read ({error.strerror})") from error
    order = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}.get(data[124:_HEADER_SIZE])
    if order is None:
        raise AnnotationError(
            f"{path}: not a MATLAB file of version 5 to 7.2, it starts with {data[:19]!r}; save it with `-v7`"
        )
    if len(data) > _MAX_BYTES:
        raise AnnotationError(f"{path}: has more than {_MAX_BYTES >> 20} MiB; that is no annotation file")
    names = []
    for block in _Block(path, memoryview(data)[_HEADER_SIZE:], order).variables():
        name, value = block.parse(only=variable)
        if name == variable:
            return value
        names.append(name)
    raise AnnotationError(f"{path}: has no variable {variable!r}; its variables are {names[:9]}")


@dataclass(frozen=True)
class _Block:
    """Bytes of a file that are elements.

    Attributes:
        path: the file, for errors.
        data: the bytes.
        order: `<` or `>`, the order of the bytes of a number.
        depth: number of arrays that this is in.
    """

    path: Path
    data: memoryview
    order: str
    depth: int = 0

    def fail(self, reason: str) -> NoReturn:
        """Raise an `AnnotationError` that names the file."""
        raise AnnotationError(f"{self.path}: not a whole MATLAB file: {reason}; download it again")

    def elements(self) -> Iterator[tuple[int, memoryview]]:
        """Yield type and data of every element."""
        start, end = 0, len(self.data)
        while start < end:
            if end - start < 8:
                self.fail(f"{end - start} bytes are too few for an element")
            kind, size = struct.unpack_from(f"{self.order}II", self.data, start)
            start += 8
            following = start + size + (-size % 8 if kind != _COMPRESSED else 0)
            room = end - start
            if kind >> 16:  # small data stand in the tag itself, in place of the number of bytes
                kind, size = kind & 0xFFFF, kind >> 16
                start, following, room = start - 4, start, 4
            if size > room:
                self.fail(f"an element has {size} bytes where {room} are left")
            yield kind, self.data[start : start + size]
            start = following

    def variables(self) -> Iterator["_Block"]:
        """Yield the variables of the file, as blocks whose elements make one array."""
        for kind, data in self.elements():
            if kind == _COMPRESSED:
                yield from _Block(self.path, self._unpack(data), self.order, self.depth).arrays()
            else:
                yield self._array(kind, data)

    def arrays(self) -> Iterator["_Block"]:
        """Yield the arrays that are the elements of this block."""
        for kind, data in self.elements():
            yield self._array(kind, data)

    def _array(self, kind: int, data: memoryview) -> "_Block":
        if kind != _ARRAY:
            self.fail(f"an element of type {kind} in place of an array")
        if self.depth == _MAX_DEPTH:
            self.fail(f"more than {_MAX_DEPTH} arrays in each other")
        return _Block(self.path, data, self.order, self.depth + 1)

    def _unpack(self, data: memoryview) -> memoryview:
        unpacker = zlib.decompressobj()
        try:
            unpacked = unpacker.decompress(data, _MAX_BYTES)
        except zlib.error as error:
            self.fail(str(error))
        if not unpacker.eof:
            self.fail(f"a compressed array is cut off, or unpacks to more than {_MAX_BYTES >> 20} MiB")
        return memoryview(unpacked)

    def parse(self, only: str | None = None) -> tuple[str, Any]:
        """Return name and value of the array that this block is; if `only` is given, None for other names."""
        if not self.data:
            return "", np.zeros((0, 0))
        elements = self.elements()
        flags, shape = self._numbers(elements), self._numbers(elements)
        name = self._text(elements)
        if flags.dtype.kind != "u" or shape.dtype.kind != "i" or flags.size == 0 or (shape < 0).any():
            self.fail(f"array {name!r} has flags {flags.tolist()} and shape {shape.tolist()}")
        if only not in (None, name):
            return name, None
        array_class, is_complex = int(flags[0]) & 0xFF, int(flags[0]) & _COMPLEX_FLAG
        size = math.prod(shape.tolist())
        if array_class in _NUMERIC and not is_complex:
            return name, self._numeric(elements, np.dtype(_NUMERIC[array_class]), shape.tolist(), name)
        if array_class == _CHAR:
            return name, self._text(elements)
        if array_class == _STRUCT:
            return name, self._structures(elements, size, name)
        if array_class == _CELL:
            return name, self._values(elements, size, name)
        raise AnnotationError(
            f"{self.path}: array {name!r} is of MATLAB's class {array_class}{' (complex)' * bool(is_complex)}; "
            "annotations are real numbers, texts, structures and cells"
        )

    def _numeric(
        self, elements: Iterator[tuple[int, memoryview]], dtype: np.dtype, shape: list[int], name: str
    ) -> np.ndarray:
        stored = self._numbers(elements)
        if stored.size == math.prod(shape) and np.can_cast(stored.dtype, dtype, "same_kind"):
            with suppress(ValueError):  # of a shape that NumPy cannot have
                return stored.astype(dtype).reshape(shape, order="F")
        self.fail(f"array {name!r} of {dtype} and shape {shape} has {stored.size} values of {stored.dtype}")

    def _structures(self, elements: Iterator[tuple[int, memoryview]], size: int, name: str) -> list[dict[str, Any]]:
        name_length, names = self._numbers(elements), self._next(elements)[1].tobytes()
        if name_length.dtype.kind != "i" or name_length.size != 1 or name_length[0] <= 0 or len(names) % name_length[0]:
            self.fail(f"the fields of structure {name!r} have names of length {name_length.tolist()}")
        step = int(name_length[0])
        fields = [names[i : i + step].split(b"\0")[0].decode("latin-1") for i in range(0, len(names), step)]
        values = iter(self._values(elements, size * len(fields), name))
        return [{field: next(values) for field in fields} for _ in range(size if fields else 0)]

    def _values(self, elements: Iterator[tuple[int, memoryview]], size: int, name: str) -> list[Any]:
        """Return the values of the `size` arrays that are left."""
        values = [self._array(*element).parse()[1] for element in elements]
        if len(values) != size:
            self.fail(f"array {name!r} has {len(values)} parts in place of {size}")
        return values

    def _numbers(self, elements: Iterator[tuple[int, memoryview]]) -> np.ndarray:
        """Return the numbers in the next element."""
        kind, data = self._next(elements)
        dtype = np.dtype(f"{self.order}{_NUMBERS.get(kind, 'V1')}")
        if kind not in _NUMBERS or len(data) % dtype.itemsize:
            self.fail(f"{len(data)} bytes of type {kind} in place of numbers")
        return np.frombuffer(data, dtype)

    def _text(self, elements: Iterator[tuple[int, memoryview]]) -> str:
        """Return the text in the next element."""
        kind, data = self._next(elements)
        try:
            return str(data, _TEXTS.get(kind, "").format("le" if self.order == "<" else "be"))
        except (LookupError, UnicodeDecodeError) as error:
            self.fail(f"{len(data)} bytes of type {kind} in place of a text ({error})")

    def _next(self, elements: Iterator[tuple[int, memoryview]]) -> tuple[int, memoryview]:
        element = next(elements, None)
        if element is None:
            self.fail("an array lacks its last parts")
        return element
