"""The steps that are timed: of the bare network, of training with ever more of the method, and of detection."""

import inspect
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.optim import build_optim_wrapper
from torch import Tensor, nn

from stal.data.transforms import PendingClip
from stal.engine.config import with_options
from stal.engine.model import DetectionModel
from stal.engine.optim_wrapper import GuardedOptimWrapper
from stal.engine.runner import build_model
from stal.losses.gradient_penalty import GradientPenalty
from stal.mixing.batch_mix import BatchMix
from stal.models.backbone import SlowFast
from stal.profiling.timing import PartTimer
from stal.structures import Clip

BARE, PLAIN, MIXED, PUNISHED = "bare network", "plain", "+ mixing", "+ penalty"
BARE_FORWARD, DETECT = "bare network, forward", "detection"
_ENDLESS = 1_000_000  # steps, of which none is the last


@dataclass(frozen=True)
class Step:
    """What is timed.

    Attributes:
        run: does it, and times its parts.
        num_steps: how many steps that are: with a penalty that is not taken on every one, from one to the next.
    """

    run: Callable[[PartTimer], None]
    num_steps: int = 1


def train_steps(config: Config, clips: list[Clip], device: torch.device) -> dict[str, Callable[[], Step]]:
    """Return what builds each step of training, by its name.

    `bare network` is the forward and the backward pass of pytorchvideo's own network, of the same size, on the same
    clips; of a backbone that pytorchvideo does not have, of the backbone alone. The others are whole steps of training,
    from clips in the computer's memory to changed weights: without mixing and penalty, with the config's mixing, or
    BatchMix where it has none, and with its penalty too, or the exact gradient penalty.

    Args:
        config: a whole config.
        clips: a batch, in the computer's memory.
        device: to compute on.
    """
    mixer = config.model.data_preprocessor.get("mixer") or {"type": BatchMix}
    penalty = config.model.get("penalty") or {"type": GradientPenalty, "weight": 1e-3}
    without = {"model.data_preprocessor.mixer": None, "model.penalty": None}
    mixing = {"model.data_preprocessor.mixer": mixer, "model.penalty": None}
    return {
        BARE: lambda: _bare_training(config, clips, device),
        PLAIN: lambda: _training(with_options(config, without), clips, device),
        MIXED: lambda: _training(with_options(config, mixing), clips, device),
        PUNISHED: lambda: _training(with_options(config, {**mixing, "model.penalty": penalty}), clips, device),
    }


def test_steps(config: Config, clips: list[Clip], device: torch.device) -> dict[str, Callable[[], Step]]:
    """Return what builds each step of testing: the bare network's forward pass, and the detection."""
    return {
        BARE_FORWARD: lambda: _bare_forward(config, clips, device),
        DETECT: lambda: _detection(config, clips, device),
    }


def autocast(config: Config, device: torch.device) -> torch.autocast:
    """Return the mixed precision that the config trains in."""
    precision = config.optim_wrapper.get("precision", "float32")
    return torch.autocast(device.type, dtype=getattr(torch, precision), enabled=precision != "float32")


def _bare_training(config: Config, clips: list[Clip], device: torch.device) -> Step:
    network, inputs = _bare(config, clips, device)
    network.train()

    def step(timer: PartTimer) -> None:
        network.zero_grad(set_to_none=True)
        with timer.part("forward"), autocast(config, device):
            features = network(list(inputs))  # pytorchvideo's blocks overwrite the list that they are given
            loss = sum(values.float().mean() for values in _tensors(features))
        with timer.part("backward"):
            cast(Tensor, loss).backward()

    return Step(step)


def _bare_forward(config: Config, clips: list[Clip], device: torch.device) -> Step:
    network, inputs = _bare(config, clips, device)
    network.eval()

    @torch.no_grad()
    def step(timer: PartTimer) -> None:
        with timer.part("forward"), autocast(config, device):
            network(list(inputs))

    return Step(step)


def _training(config: Config, clips: list[Clip], device: torch.device) -> Step:
    training = Training(config, device)

    def run(timer: PartTimer) -> None:
        for _ in range(training.interval):
            training.step(clips, timer)

    return Step(run, training.interval)


class Training:
    """Steps of a config's training, from clips in the computer's memory to changed weights.

    Args:
        config: a whole config.
        device: to compute on.

    Attributes:
        interval: steps from one that its penalty is taken on to the next; the first one has it.
    """

    def __init__(self, config: Config, device: torch.device) -> None:
        self.model = _new_model(config, device).train()
        self.wrapper = cast(GuardedOptimWrapper, build_optim_wrapper(self.model, dict(config.optim_wrapper)))
        self.wrapper.initialize_count_status(self.model, 0, _ENDLESS)
        penalty = self.model.penalty
        self.interval = 1 if penalty is None else penalty.schedule.interval
        self._number = 0 if penalty is None else math.ceil(penalty.schedule.start_step / self.interval) * self.interval

    def step(self, clips: Sequence[Clip | PendingClip], timer: PartTimer) -> None:
        """Train on a batch, and time the parts of that."""
        model, wrapper = self.model, self.wrapper
        MessageHub.get_current_instance().update_info("iter", self._number)
        with timer.part("to device, mixing"):
            inputs = model.data_preprocessor(clips, True)
        with timer.part("forward"), wrapper.optim_context(model):
            losses = model(**inputs, mode="loss")
        with timer.part("backward, optimizer"):
            wrapper.update_params(model.parse_losses(losses)[0])
        self._number += 1


def _detection(config: Config, clips: list[Clip], device: torch.device) -> Step:
    model = _new_model(config, device).eval()

    @torch.no_grad()
    def step(timer: PartTimer) -> None:
        with timer.part("to device"):
            inputs = model.data_preprocessor.prepare(clips)
        with timer.part("network"), autocast(config, device):
            model.detect(inputs)

    return Step(step)


def _new_model(config: Config, device: torch.device) -> DetectionModel:
    """Return the model, always with the same random weights."""
    torch.manual_seed(0)
    return build_model(config).to(device)


def _bare(config: Config, clips: list[Clip], device: torch.device) -> tuple[nn.Module, list[Tensor]]:
    """Return the network without the project's code, and what it takes of some clips."""
    model = _new_model(with_options(config, {"model.penalty": None}), device)
    with torch.no_grad():
        batch = model.data_preprocessor.prepare(clips).batch.clips
    backbone = model.detector.backbone
    if not isinstance(backbone, SlowFast):
        return _Alone(backbone), [batch]
    slow = batch.index_select(2, backbone.slow_frames(batch.shape[2]).to(device))
    return _pytorchvideo_slowfast(config.model.detector.backbone).to(device), [slow, batch]


class _Alone(nn.Module):
    """A backbone that takes a list of its input."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, inputs: list[Tensor]) -> Any:
        return self.backbone(*inputs)


def _pytorchvideo_slowfast(settings: Mapping[str, Any]) -> nn.Module:
    """Return pytorchvideo's network of the size that a config's `SlowFast` has, with its own norms and activations."""
    with warnings.catch_warnings():  # it scripts a function of its own when imported, which torch has deprecated
        warnings.simplefilter("ignore", FutureWarning)
        from pytorchvideo.models.slowfast import create_slowfast

    defaults = {name: p.default for name, p in inspect.signature(SlowFast).parameters.items()}
    chosen = {**defaults, **settings}
    width, ratio, strides = chosen["width"], chosen["channel_ratio"], chosen["spatial_strides"]
    last_dilation = (1, 2, 2) if chosen["dilate_last"] else (1, 1, 1)
    dilations = ((1, 1, 1), (1, 1, 1), (1, 1, 1), last_dilation)
    network = create_slowfast(
        model_depth=chosen["depth"],
        slowfast_channel_reduction_ratio=(ratio,),
        slowfast_fusion_conv_kernel_size=(chosen["fusion_kernel"], 1, 1),
        slowfast_fusion_conv_stride=(chosen["alpha"], 1, 1),
        stem_dim_outs=(width, width // ratio),
        stem_conv_kernel_sizes=chosen["stem_kernels"],
        stage_spatial_strides=(strides, strides),
        stage_conv_b_dilations=(dilations, dilations),
        head=None,
        head_pool=None,
    )
    network.blocks = network.blocks[:-1]  # the last one pools
    return network


def _tensors(features: Any) -> list[Tensor]:
    return [values for values in features if isinstance(values, Tensor)]
