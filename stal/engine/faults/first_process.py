"""What one of several processes does for all."""

from collections.abc import Callable
from typing import Any, TypeVar

from mmengine.dist import broadcast_object_list, is_main_process

from stal.errors import StalError

T = TypeVar("T")


def in_first_process(action: Callable[[], T]) -> T:
    """Act in the first process while the others wait, and return there too what came of it.

    Raises:
        StalError: the action raised it; it is raised in all processes, so that none waits for one that has ended. Of
            any other exception, which the first process raises as it is, the others have the text.
    """
    outcome: list[Any] = [None, None]
    if is_main_process():
        try:
            outcome[0] = action()
        except Exception as error:
            name = type(error).__name__
            is_own = isinstance(error, StalError)
            broadcast_object_list([None, error if is_own else StalError(f"the first process ended: {name}: {error}")])
            raise
    broadcast_object_list(outcome)
    result, failure = outcome
    if failure is not None:
        raise failure
    return result
