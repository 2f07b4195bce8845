import random

import numpy as np
import pytest
import torch

from stal.engine import step_seed
from stal.engine.step_seed import seed_step, step_entropy


def draw() -> tuple[float, float, float]:
    return torch.rand(()).item(), np.random.rand(), random.random()  # noqa: NPY002


def test_what_a_step_draws_does_not_depend_on_what_was_drawn_before():
    seed_step(3, 7)
    first = draw()
    draw()
    seed_step(3, 7)
    assert draw() == first


@pytest.mark.parametrize(("seed", "step"), [(3, 8), (4, 7), (7, 3), (0, 0)])
def test_other_seeds_and_steps_draw_other_numbers(seed, step):
    seed_step(3, 7)
    first = draw()
    seed_step(seed, step)
    assert not set(draw()) & set(first)


def test_processes_and_purposes_have_chance_of_their_own(monkeypatch):
    states = [step_entropy(3, 7, purpose).generate_state(1)[0] for purpose in ("mixing", "penalty", "model")]
    monkeypatch.setattr(step_seed, "get_rank", lambda: 1)
    states += [step_entropy(3, 7, purpose).generate_state(1)[0] for purpose in ("mixing", "penalty", "model")]
    assert len(set(states)) == 6
