"""Load annotation pickles without running what is in them: plain `pickle.load` executes any code that a file holds."""

import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stal.data.formats.pickled_arrays import PickledType, array_of_buffer, empty_array, latin_1_bytes, scalar
from stal.errors import AnnotationError, DataNotFoundError

_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("builtins", "frozenset"): frozenset,
    ("builtins", "set"): set,
    ("_codecs", "encode"): latin_1_bytes,  # how bytes are written for Python 2
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "dtype"): PickledType,
    ("numpy", "ndarray"): empty_array,
    ("numpy._core.multiarray", "_reconstruct"): empty_array,
    ("numpy._core.multiarray", "scalar"): scalar,
    ("numpy._core.numeric", "_frombuffer"): array_of_buffer,
}

# What pickle documents that a broken file may raise, and what its opcodes were seen to raise on random bytes.
BROKEN_PICKLE = (
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    NameError,
    OverflowError,
    TypeError,
    ValueError,
)


class _PlainUnpickler(pickle.Unpickler):
    """Builds containers, numbers, texts and numpy arrays, and refuses everything else by name."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a global; numpy 1 wrote `numpy.core` where numpy 2 has `numpy._core`."""
        module = module.replace("numpy.core", "numpy._core").replace("__builtin__", "builtins")
        if (module, name) not in _ALLOWED:
            raise RefusedGlobalError(f"{module}.{name}")
        function = _ALLOWED[module, name]
        # A pickle may set attributes of what it gets: it shall not get what the next one gets too.
        return lambda *arguments: function(*arguments)


class RefusedGlobalError(Exception):
    """A pickle asked for a global that no file of plain values needs."""


def unpickle(path: Path) -> Any:
    """Return what a pickle of containers, numbers, texts and numpy arrays holds, also one that Python 2 wrote.

    Raises:
        RefusedGlobalError: it asks for something else, whose name this is.
        Exception: one of `BROKEN_PICKLE`, if it is no whole pickle.
    """
    with path.open("rb") as file:
        return _PlainUnpickler(file, encoding="latin1").load()


def load_pickle(path: str | Path) -> Any:
    """Load a pickle of containers, numbers, texts and numpy arrays, also one that Python 2 wrote.

    Args:
        path: the pickle; its 8-bit texts are read as Latin-1.

    Raises:
        DataNotFoundError: there is no such file.
        AnnotationError: it is no pickle, or cut off, or asks for a global that annotations do not need.
    """
    path = Path(path)
    if not path.is_file():
        raise DataNotFoundError(f"{path}: there is no such annotation file (data/README.md says where to get it)")
    try:
        return unpickle(path)
    except RefusedGlobalError as error:
        raise AnnotationError(
            f"{path}: refused, because it asks for `{error}`, which could run code and which no annotation needs; "
            "get the file from the source that data/README.md names"
        ) from error
    except BROKEN_PICKLE as error:
        raise AnnotationError(
            f"{path}: not a whole pickle ({type(error).__name__}: {error}; the file has {path.stat().st_size} "
            "bytes); download it again"
        ) from error
