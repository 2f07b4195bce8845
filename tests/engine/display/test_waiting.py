"""The share of a training's time that is spent waiting for clips."""

from unittest import mock

import pytest
from mmengine.logging import MessageHub
from mmengine.runner import LogProcessor, Runner

from stal.engine.config import load_config
from stal.engine.display.waiting import WaitingHook


@pytest.mark.parametrize(
    ("waited", "taken", "share"),
    [
        ([0.0], [2.0], 0.0),
        ([1.0, 0.0, 0.0], [1.1, 0.1, 0.8], 0.5),  # of the whole time, not the mean of the shares
        ([9.0, 1.0, 1.0, 1.0], [9.0, 4.0, 4.0, 4.0], 0.25),  # the first is not looked back on
    ],
)
def test_the_share_is_of_the_time_that_the_log_looks_back_on(tmp_path, waited, taken, share):
    hub = MessageHub(str(tmp_path))
    runner = mock.Mock(spec=Runner, message_hub=hub, log_processor=LogProcessor(window_size=3))
    for of_data, of_all in zip(waited, taken, strict=True):
        hub.update_scalar("train/data_time", of_data)
        hub.update_scalar("train/time", of_all)
        WaitingHook().after_train_iter(runner, 0)
    assert hub.get_scalar("train/data_share").current() == pytest.approx(share)


def test_every_training_logs_it():
    config = load_config("configs/scenes_plain.py")
    assert WaitingHook in [hook["type"] for hook in config.custom_hooks]
