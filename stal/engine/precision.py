"""Which precision a training runs in, by its config and its device."""

from mmengine.config import Config
from mmengine.device import get_device

from stal.engine.config import with_options
from stal.errors import ConfigError


def with_mixed_precision(config: Config) -> Config:
    """Return the config with the half precision it names, or else with bfloat16, or float16 on a CPU."""
    if config.optim_wrapper.get("precision", "float32") != "float32":
        return config
    precision = "float16" if get_device() == "cpu" else "bfloat16"
    return with_options(config, {"optim_wrapper.precision": precision})


def refuse_wrong_gradients(config: Config) -> None:
    """Refuse bfloat16 on a CPU.

    There torch's convolutions over few frames return wrong gradients of their weights, and write past their memory:
    seen with torch 2.15 (oneDNN 3.13.3, AVX-512 with bfloat16), for kernels of 3 over 2 frames, of 5 over 2 to 4 and of
    7 over 2 to 5, of which a slow pathway of two frames, as of clips of eight, has many. In float16 they are right.

    Raises:
        ConfigError: it is asked for.
    """
    if config.get("optim_wrapper", {}).get("precision") == "bfloat16" and get_device() == "cpu":
        raise ConfigError(
            "optim_wrapper.precision = 'bfloat16' on a CPU: torch's convolutions over few frames have wrong gradients "
            "there; take 'float16' (what --amp takes on a CPU), 'float32', or a GPU"
        )
