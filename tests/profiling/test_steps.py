from pathlib import Path

import pytest
import torch
from mmengine.logging import MessageHub

from stal.engine.config import load_config
from stal.losses.gradient_penalty import GradientPenalty
from stal.profiling import steps
from stal.profiling.random_clips import random_clips
from stal.profiling.steps import BARE, MIXED, PLAIN, PUNISHED, train_steps
from stal.profiling.timing import PartTimer

CONFIG = Path(__file__).parents[2] / "configs" / "scenes_small_plain.py"
SMALL = {"model.detector.backbone.width": 4, "model.detector.backbone.channel_ratio": 2}
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def message_hub(tmp_path) -> None:
    MessageHub.get_instance(f"test in {tmp_path}")


@pytest.mark.parametrize(("start_step", "first"), [(0, 0), (4, 6), (6, 6)])
def test_a_step_goes_from_one_with_the_penalty_to_the_next(monkeypatch, start_step, first):
    taken = []
    take = GradientPenalty.__call__

    def note(self, actors, *, step, generator):
        taken.append(step)
        return take(self, actors, step=step, generator=generator)

    monkeypatch.setattr(GradientPenalty, "__call__", note)
    penalty = {"type": GradientPenalty, "weight": 1.0, "interval": 3, "start_step": start_step}
    builders = train_steps(load_config(CONFIG, {**SMALL, "model.penalty": penalty}), clips(), CPU)
    step = builders[PUNISHED]()
    assert step.num_steps == 3
    for _ in range(2):
        step.run(PartTimer(CPU))
    assert taken == [first, first + 3]
    assert {builders[name]().num_steps for name in (BARE, PLAIN, MIXED)} == {1}


def test_every_step_times_its_parts():
    config = load_config(CONFIG, SMALL)
    parts = {}
    for name, build in (train_steps(config, clips(), CPU) | steps.test_steps(config, clips(), CPU)).items():
        timer = PartTimer(CPU)
        build().run(timer)
        parts[name] = list(timer.seconds)
    of_training = ["to device, mixing", "forward", "backward, optimizer"]
    assert parts == {
        "bare network": ["forward", "backward"],
        **dict.fromkeys(("plain", "+ mixing", "+ penalty"), of_training),
        "bare network, forward": ["forward"],
        "detection": ["to device", "network"],
    }


def clips():
    return random_clips(2, (8, 48, 64), num_actors=2)
