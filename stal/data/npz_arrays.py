"""Plain arrays from an .npz file, each of the type and shape that its reader expects."""

import lzma
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, Int64, Shaped

from stal.errors import AnnotationError, DataNotFoundError

# What zipfile and numpy raise on broken files. RuntimeError is for parts that are encrypted, and for methods of zip
# that Python does not have; those behind zlib's are for what stands in place of a header.
_BROKEN = (
    OSError,
    ValueError,
    EOFError,
    MemoryError,
    RuntimeError,
    lzma.LZMAError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    OverflowError,
    LookupError,
    SyntaxError,
    TypeError,
    tokenize.TokenError,
)
_HEADER_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_array(path: Path, name: str, shape: tuple[int, ...], dtype: type[np.generic]) -> Shaped[np.ndarray, "..."]:
    """Read one array of an .npz file whose shape and type are known.

    They are compared with what the array's header says before any of its values is read: a few bytes of a file may be
    for more values than there is memory.

    Args:
        path: the .npz file.
        name: the array.
        shape: what it must be.
        dtype: what it must be.

    Raises:
        AnnotationError: the file is no .npz, or broken, or has no such array, or one of another shape or type.
    """
    member = f"{name}.npy"
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
            found = _read_header(archive, member) if member in members else None
            if found == (shape, np.dtype(dtype)):
                with archive.open(member) as file:
                    return np.lib.format.read_array(file, allow_pickle=False)
    except _BROKEN as error:
        raise AnnotationError(f"{path}: not a .npz file with an array `{name}` ({error}); generate it again") from error
    if found is None:
        present = [member.removesuffix(".npy") for member in members]
        raise AnnotationError(f"{path}: has no array `{name}`, only {present}; generate it again")
    raise AnnotationError(f"{path}: {name} are {found[1]} {found[0]}, but the video needs {np.dtype(dtype)} {shape}")


def _read_header(archive: zipfile.ZipFile, member: str) -> tuple[tuple[int, ...], np.dtype]:
    """Return shape and type of an array."""
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        shape, _, dtype = _HEADER_READERS[version](file)
        return shape, dtype


class NpzArrays:
    """The arrays of one .npz file; every error names the file and the array. Nothing is unpickled.

    Args:
        path: the .npz file.
        names: the arrays to load where they are there; others are left alone.

    Raises:
        DataNotFoundError: there is no such file.
        AnnotationError: it is a folder, empty, no .npz, broken, or one of the arrays holds Python objects.
    """

    def __init__(self, path: Path, names: Collection[str]) -> None:
        self.path = path
        if path.is_dir():
            raise AnnotationError(f"{path}: this is a folder; name the .npz file in it")
        if not path.is_file():
            raise DataNotFoundError(f"{path}: there is no such .npz file")
        if path.stat().st_size == 0:
            raise AnnotationError(f"{path}: the file is empty (0 bytes); write it again")
        if not zipfile.is_zipfile(path):
            raise AnnotationError(f"{path}: not an .npz file (a zip of arrays, see np.savez), or cut off")
        name = "its list of arrays"
        try:
            with np.load(path, allow_pickle=False) as file:
                self.present: list[str] = sorted(file.files)
                self._arrays: dict[str, np.ndarray] = {}
                for name in sorted(set(names) & set(self.present)):
                    self._arrays[name] = np.asarray(file[name])
        except _BROKEN as error:
            raise AnnotationError(
                f"{path}: {name} cannot be read: {error}; arrays are of numbers or texts, and not of dtype object"
            ) from error

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def require(self, names: Collection[str], remedy: str = "write them too") -> None:
        """Raise with all of `names` that are missing, and with the remedy."""
        missing = sorted(set(names) - set(self._arrays))
        if missing:
            raise AnnotationError(
                f"{self.path}: arrays {missing} are missing; there are {self.present}; {remedy} "
                "(docs/detection_files.md has the layout)"
            )

    def text(self, name: str) -> str:
        """Return the one text that an array holds."""
        return str(self._texts(name, (), "a text"))

    def names(self, name: str) -> tuple[str, ...]:
        """Return a list of texts, of which no two are equal."""
        names: list[str] = self._texts(name, (None,), "texts").tolist()
        first_rows: dict[str, int] = {}
        for row, text in enumerate(names):
            if text in first_rows:
                raise AnnotationError(
                    f"{self.path}: {name}, row {row}: {text!r} stands in row {first_rows[text]} too; "
                    f"{len(names) - len(set(names))} of {len(names)} rows are repeated. Every name stands there once"
                )
            first_rows[text] = row
        return tuple(names)

    def integers(self, name: str, shape: Sequence[int | None]) -> Int64[np.ndarray, "..."]:
        """Return an array of integers, or of floats that are whole; None in `shape` stands for any size."""
        array = self._checked(name, shape, "fiu", "integers")
        if array.dtype.kind == "f":
            self._check_whole(name, array.astype(np.float64))
        return array.astype(np.int64)

    def rows(self, name: str, length: int | None, listed: str) -> Int64[np.ndarray, " N"]:
        """Return an array of rows in the list of names `listed`; a `length` of None stands for any."""
        array = self._arrays[name]
        if array.dtype.kind in "US" and array.size:
            raise AnnotationError(
                f"{self.path}: {name} holds names, the first is {array.flat[0].item()!r}; expected the row of each in "
                f"`{listed}`, counted from 0, such as [list({listed}).index(name) for name in {name}]"
            )
        return self.integers(name, (length,))

    def numbers(self, name: str, shape: Sequence[int | None]) -> Float64[np.ndarray, "..."]:
        """Return an array of numbers; None in `shape` stands for any size."""
        return self._checked(name, shape, "fiu", "numbers").astype(np.float64)

    def boxes(self, name: str, num_boxes: int | None = None) -> Float32[np.ndarray, "N 4"]:
        """Return an array of `num_boxes` boxes, or of any number."""
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is found with what was so
            return self._checked(name, (num_boxes, 4), "fiu", "numbers").astype(np.float32, copy=False)

    def num_axes(self, name: str) -> int:
        """Return the number of axes of an array."""
        return self._arrays[name].ndim

    def _check_whole(self, name: str, values: Float64[np.ndarray, "..."]) -> None:
        """Raise unless all values are integers of 64 bits."""
        bad = ~((values == np.floor(values)) & (np.abs(values) < 2**63))
        if bad.any():
            raise AnnotationError(
                f"{self.path}: {name}, row {np.argwhere(bad)[0, 0]}: {values[bad][0]} is not a whole number; "
                f"{int(bad.sum())} of {values.size} values are such. Correct the file"
            )

    def _texts(self, name: str, shape: Sequence[int | None], meaning: str) -> Shaped[np.ndarray, "..."]:
        """Return an array of texts; bytes are taken for UTF-8."""
        array = self._checked(name, shape, "US", meaning)
        if array.dtype.kind != "S":
            return array
        try:
            return np.char.decode(array, "utf-8")
        except UnicodeDecodeError as error:
            raise AnnotationError(
                f"{self.path}: {name} holds bytes that are not UTF-8, such as {error.object!r}; "
                "write texts, such as np.array(names, dtype=str)"
            ) from error

    def _checked(self, name: str, shape: Sequence[int | None], kinds: str, meaning: str) -> Shaped[np.ndarray, "..."]:
        """Return an array, or raise unless it has the shape and a dtype of one of the `kinds` of numpy."""
        array = self._arrays[name]
        fits = array.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, array.shape, strict=True))
        if not fits:
            expected = str(tuple("any" if n is None else n for n in shape)).replace("'", "")
            raise AnnotationError(f"{self.path}: {name} has the shape {array.shape}; expected {expected}")
        # np.array([]) is of floats: without values any type will do
        if array.dtype.kind not in kinds and array.size:
            raise AnnotationError(f"{self.path}: {name} is of dtype {array.dtype}; expected {meaning}")
        return array
