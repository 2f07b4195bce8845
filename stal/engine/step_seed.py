"""Chance in a training: what a step draws follows from the seed, the process and the number of the step alone.

So a training that goes on from a checkpoint draws what one that was never cut off draws, and no state of a generator
has to be kept.
"""

import random
from typing import Literal

import numpy as np
import torch
from mmengine.dist import get_rank

Purpose = Literal["mixing", "penalty", "model"]
_STREAMS: dict[Purpose, list[int]] = {"mixing": [], "penalty": [1], "model": [2]}


def step_entropy(seed: int, step: int, purpose: Purpose) -> np.random.SeedSequence:
    """Return the source of chance of one step in this process, for one purpose.

    Args:
        seed: of the training, the same in all processes.
        step: counted from 0, from the start of the training on.
        purpose: what is drawn; the model draws for its dropout, and the proposals that it is trained on.
    """
    return np.random.SeedSequence([seed, get_rank(), step, *_STREAMS[purpose]])


def seed_step(seed: int, step: int) -> None:
    """Seed the global generators of torch, on all devices, of NumPy and of Python for one step; see `step_entropy`."""
    entropy = step_entropy(seed, step, "model")
    for_torch, for_python = entropy.generate_state(2, np.uint64).tolist()
    torch.manual_seed(for_torch)
    random.seed(for_python)
    np.random.seed(entropy.generate_state(4))  # noqa: NPY002 - what draws from it is not ours
