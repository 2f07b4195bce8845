"""The work directory of a training: one run at a time, and a clear word when it can hold no more."""

import errno
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from stal.engine.faults.checkpoint_file import LAST_CHECKPOINT
from stal.engine.faults.first_process import in_first_process
from stal.engine.faults.lock import locked
from stal.errors import ConfigError

LOCK_FILE = "training.lock"
"""File of a work directory that names the training which runs there."""

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


@contextmanager
def own_work_dir(work_dir: Path) -> Iterator[None]:
    """Train in a work directory, alone; half a checkpoint that a killed training has left there is removed.

    All processes of the training call it, and the first holds the lock.

    Raises:
        ConfigError: another training runs there, or nothing can be written.
    """
    with ExitStack() as lock:
        in_first_process(lambda: _enter(work_dir, lock))
        try:
            yield
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            raise ConfigError(
                f"{error.filename or work_dir}: cannot be written ({error.strerror}); the last checkpoint is as it "
                "was: make room, or make the folder writable, and go on with --resume"
            ) from error


def _enter(work_dir: Path, lock: ExitStack) -> None:
    lock.enter_context(locked(work_dir / LOCK_FILE, f"the training in {work_dir}"))
    try:
        for written in ("*.pth", LAST_CHECKPOINT):
            for part in work_dir.glob(f"{written}.*.part"):
                part.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{error.filename or work_dir}: what is left of a training that was killed cannot be removed "
            f"({error.strerror}); remove it, or make the folder writable"
        ) from error
