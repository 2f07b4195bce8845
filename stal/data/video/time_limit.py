"""A limit to the time that reading a video may take."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from stal.errors import ConfigError, VideoReadError

_REMEDY = (
    "is the file whole, and its disk fast enough? The first reading of a long video decodes all of it: do that "
    "beforehand (`tools/prepare_data.py DATA --to tables`); or allow more time (read_timeout_seconds), or replace the "
    "file"
)
_REPEAT_SECONDS = 1.0  # an alarm that comes while Python cleans up is lost: another follows
_SOON_SECONDS = 1e-3


class _TimeIsUpError(BaseException):
    """What the alarm raises: no `Exception`, so that no reader on the way takes it for a failure of its own."""


@contextmanager
def time_limit(seconds: float | None, what: str, remedy: str = _REMEDY) -> Iterator[None]:
    """Interrupt the block with an error when it takes too long.

    An alarm signal interrupts it, so there is a limit in the main thread alone, which is where data loaders read: in
    their workers as in their own process. In other threads there is none. A call into a library that never comes back
    to Python is not interrupted; FFmpeg comes back after every packet.

    The block itself cannot catch the error, not even by `except Exception`; it is raised where the block ends.

    Limits may stand in one another, and in others' alarms: the first to run out counts, and what was set before is set
    again after the block, for what is left of its time.

    Args:
        seconds: the limit; None for none.
        what: is read, for the error.
        remedy: what the error advises.

    Raises:
        VideoReadError: the block took longer.
        ConfigError: the limit is not positive.
    """
    if seconds is not None and not seconds > 0:
        raise ConfigError(f"a limit of {seconds} seconds for reading {what}: must be positive, or None for none")
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    start = time.monotonic()
    # Stopped and read at once: it may not run out in between, and is not for the handler below.
    outer_seconds, outer_interval = signal.setitimer(signal.ITIMER_REAL, 0)
    if 0 < outer_seconds <= seconds:  # runs out first
        signal.setitimer(signal.ITIMER_REAL, outer_seconds, outer_interval)
        yield
        return
    time_is_up = _TimeIsUpError(what)

    def interrupt(number: int, frame: FrameType | None) -> None:
        # While the block is entered or left there is nothing to interrupt, and nobody yet or any more to catch it.
        if frame is None or not (frame.f_globals is globals() or frame.f_globals is vars(contextlib)):
            raise time_is_up

    previous = signal.getsignal(signal.SIGALRM)
    try:
        signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, seconds, _REPEAT_SECONDS)
        yield
    except _TimeIsUpError as error:
        if error is not time_is_up:  # of an outer limit
            raise
        raise VideoReadError(f"{what}: reading takes longer than {seconds:g} s; {remedy}") from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous or signal.SIG_DFL)
        if outer_seconds > 0:
            left = outer_seconds - (time.monotonic() - start)
            signal.setitimer(signal.ITIMER_REAL, max(left, _SOON_SECONDS), outer_interval)
