from pathlib import Path

import pytest
from mmengine.config import Config

from stal.engine import precision
from stal.engine.config import load_config
from stal.engine.precision import refuse_wrong_gradients, with_mixed_precision
from stal.engine.runner import build_train_runner
from stal.errors import ConfigError
from stal.structures import Annotations

CONFIG = str(Path(__file__).parents[2] / "configs" / "scenes_small_plain.py")


@pytest.mark.parametrize(
    ("device", "named", "taken"),
    [
        ("cuda", None, "bfloat16"),
        ("cuda", "float32", "bfloat16"),
        ("cuda", "float16", "float16"),
        ("cpu", None, "float16"),
        ("cpu", "bfloat16", "bfloat16"),
    ],
)
def test_mixed_precision_is_what_the_config_names_or_fits_the_device(monkeypatch, device, named, taken):
    monkeypatch.setattr(precision, "get_device", lambda: device)
    config = load_config(CONFIG, {"optim_wrapper.precision": named} if named else {})
    assert with_mixed_precision(config).optim_wrapper.precision == taken


@pytest.mark.parametrize(("device", "named"), [("cuda", "bfloat16"), ("cpu", "float16"), ("cpu", None)])
def test_precisions_with_right_gradients_are_let_through(monkeypatch, device, named):
    monkeypatch.setattr(precision, "get_device", lambda: device)
    assert refuse_wrong_gradients(Config({"optim_wrapper": {"precision": named}})) is None


def test_a_training_in_bfloat16_on_a_cpu_is_refused(monkeypatch):
    monkeypatch.setattr(precision, "get_device", lambda: "cpu")
    config = load_config(CONFIG, {"optim_wrapper.precision": "bfloat16"})
    with pytest.raises(ConfigError, match=r"'bfloat16' on a CPU: .* wrong gradients there; take 'float16'"):
        build_train_runner(config, Annotations((), ()))
