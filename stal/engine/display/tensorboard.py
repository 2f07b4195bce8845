"""TensorBoard: the numbers and pictures of a training as event files, which are optional."""

from importlib.util import find_spec
from typing import Any

from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.visualization import TensorboardVisBackend

from stal.errors import ConfigError


class TensorboardBackend(TensorboardVisBackend):
    """Write the numbers of training as `train/...` and those of validations as `val/...`, over the iterations.

    mmengine's backend calls the times of both `time`, and counts validations in epochs.

    Args:
        save_dir: folder of the event files.

    Raises:
        ConfigError: TensorBoard is not installed.
    """

    def __init__(self, save_dir: str) -> None:
        if find_spec("tensorboard") is None:
            raise ConfigError("TensorBoard is not installed: pip install 'stal[tensorboard]', or train without it")
        super().__init__(save_dir)

    def add_scalars(
        self, scalar_dict: dict[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Write numbers, and show them at once to those who watch.

        Args:
            scalar_dict: numbers by name.
            step: not used; the message hub knows the iteration.
            file_path: not used.
            kwargs: not used.
        """
        hub = MessageHub.get_current_instance()
        stage, num_iterations = hub.get_info("loop_stage"), hub.get_info("iter") + 1
        for name, value in scalar_dict.items():
            if name != "iter":
                self.add_scalar(f"{stage}/{name}", value, num_iterations)
        self.experiment.flush()


def add_tensorboard(config: Config) -> None:
    """Add a backend for TensorBoard to the visualizer of a config, unless it has one."""
    if config.get("visualizer") is None:
        backend = {"type": "mmengine.visualization.LocalVisBackend"}
        config.visualizer = {"type": "mmengine.visualization.Visualizer", "vis_backends": [backend]}
    backends = config.visualizer.get("vis_backends") or ()
    if not any("Tensorboard" in str(backend["type"]) for backend in backends):
        ours = {"type": f"{__name__}.{TensorboardBackend.__name__}"}  # a class could not be written down
        config.visualizer["vis_backends"] = [*backends, ours]
