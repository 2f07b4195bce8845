"""Load annotation pickles without running what is in them: plain `pickle.load` executes any code that a file holds."""

import pickle
from pathlib import Path
from typing import Any

from stal.errors import AnnotationError, DataNotFoundError

_ALLOWED = {
    ("builtins", "frozenset"),
    ("builtins", "set"),
    ("_codecs", "encode"),  # how Python 2 wrote bytes
    ("collections", "OrderedDict"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
}

# What pickle documents that a broken file may raise, and what its opcodes were seen to raise on random bytes.
_BROKEN = (
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    ImportError,
    IndexError,
    KeyError,
    MemoryError,
    NameError,
    OverflowError,
    TypeError,
    ValueError,
)


class _PlainUnpickler(pickle.Unpickler):
    """Builds containers, numbers, texts and numpy arrays, and refuses everything else by name."""

    def find_class(self, module: str, name: str) -> Any:
        """Return an allowed global; numpy 1 wrote `numpy.core` where numpy 2 has `numpy._core`."""
        module = module.replace("numpy.core", "numpy._core").replace("__builtin__", "builtins")
        if (module, name) not in _ALLOWED:
            raise _RefusedGlobalError(f"{module}.{name}")
        return super().find_class(module, name)


class _RefusedGlobalError(Exception):
    """A pickle asked for a global that no annotation needs."""


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
    with path.open("rb") as file:
        try:
            return _PlainUnpickler(file, encoding="latin1").load()
        except _RefusedGlobalError as error:
            raise AnnotationError(
                f"{path}: refused, because it asks for `{error}`, which could run code and which no annotation needs; "
                "get the file from the source that data/README.md names"
            ) from error
        except _BROKEN as error:
            raise AnnotationError(
                f"{path}: not a whole pickle ({type(error).__name__}: {error}; the file has {path.stat().st_size} "
                "bytes); download it again"
            ) from error
