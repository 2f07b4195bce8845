"""How many processes a machine has work for."""

import os


def num_available_cores() -> int:
    """Return the number of cores that this process may use, where the system tells, or else has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
