from unittest import mock

import pytest
from mmengine.logging import MessageHub
from mmengine.runner import LogProcessor, Runner

from stal.engine.short_history import ShortHistoryHook


def train(tmp_path, num_iterations: int, hook: ShortHistoryHook | None, val_loop=None, **processor) -> MessageHub:
    hub = MessageHub(str(tmp_path))
    log_processor = LogProcessor(window_size=5, **processor)
    runner = mock.Mock(
        spec=Runner, message_hub=hub, log_processor=log_processor, val_loop=val_loop, val_dataloader=range(8)
    )
    if hook is not None:
        hook.before_train(runner)
    for number in range(num_iterations):
        hub.update_scalar("train/loss", 1 / (number + 1))
        hub.update_scalar("val/time", float(number))
        if hook is not None:
            hook.after_train_iter(runner, number)
    return hub


def test_as_much_is_kept_as_the_log_looks_back_on_and_its_means_are_the_same(tmp_path):
    whole, short = train(tmp_path, 40, None), train(tmp_path, 40, ShortHistoryHook())
    history = short.get_scalar("train/loss")
    assert len(history.data[0]) == len(history.data[1]) == 5
    assert history.mean(5) == whole.get_scalar("train/loss").mean(5)
    assert history.current() == whole.get_scalar("train/loss").current()


@pytest.mark.parametrize(("val_loop", "num_kept"), [(None, 5), (mock.Mock(), 8)])
def test_a_validation_is_kept_whole(tmp_path, val_loop, num_kept):
    hub = train(tmp_path, 40, ShortHistoryHook(), val_loop)
    assert len(hub.get_scalar("val/time").data[0]) == num_kept


@pytest.mark.parametrize(("window", "num_kept"), [("epoch", 40), ("global", 40), (17, 17), (2, 5)])
def test_what_a_config_asks_the_log_for_is_kept(tmp_path, window, num_kept):
    custom = [{"data_src": "loss", "log_name": "mean_loss", "method_name": "mean", "window_size": window}]
    hub = train(tmp_path, 40, ShortHistoryHook(), custom_cfg=custom)
    assert len(hub.get_scalar("train/loss").data[0]) == num_kept
