"""Time the twice-differentiable RoIAlign against torchvision's, which has no double backward.

And against another form that has one: torchvision's two kernels, each as the gradient of the other. Where that is
faster, on a GPU perhaps, it would be worth having in its place.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torchvision
from rich.console import Console
from rich.table import Table
from torch import Tensor

from stal.ops.roi_align import roi_align

BINS = (7, 7)


@dataclass(frozen=True)
class Case:
    """One size of features, with RoIs spread evenly over the images."""

    name: str
    num_rois: int
    num_images: int
    channels: int
    size: int
    spatial_scale: float


CASES = (
    Case("R50, clips of 224 x 224", num_rois=40, num_images=8, channels=2304, size=14, spatial_scale=1 / 16),
    Case("small", num_rois=8, num_images=4, channels=64, size=12, spatial_scale=1 / 4),
)


class _Kernel(torch.autograd.Function):
    """torchvision's kernel, whose gradient is its other kernel, whose gradient is this one: RoIAlign is linear."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, rois: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(rois)
        ctx.shape, ctx.scale = features.shape, scale
        return torch.ops.torchvision.roi_align(features, rois, scale, *BINS, 2, True)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        (rois,) = ctx.saved_tensors
        return _KernelGradient.apply(gradient, rois, ctx.scale, ctx.shape), None, None


class _KernelGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gradient: Tensor, rois: Tensor, scale: float, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(rois)
        ctx.scale = scale
        return torch.ops.torchvision._roi_align_backward(gradient.contiguous(), rois, scale, *BINS, *shape, 2, True)

    @staticmethod
    def backward(ctx: Any, of_gradient: Tensor) -> Any:
        (rois,) = ctx.saved_tensors
        return _Kernel.apply(of_gradient, rois, ctx.scale), None, None, None


def seconds(run: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Return the shortest time of `repeats` runs, after one that is not counted."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times[1:])


def measure(case: Case, device: torch.device, repeats: int) -> dict[str, float]:
    """Return the seconds of each computation, torchvision's and ours."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(case.num_images, case.channels, case.size, case.size, generator=generator)
    features = features.to(device).requires_grad_()
    corners = torch.rand(2, case.num_rois, 2, generator=generator) * case.size / case.spatial_scale / 2
    boxes = torch.cat([corners[0], corners[0] + corners[1]], dim=1).to(device)
    batch_index = (torch.arange(case.num_rois) * case.num_images // case.num_rois).to(device)
    rois = torch.cat([batch_index[:, None].float(), boxes], dim=1)
    weights = torch.randn(case.num_rois, case.channels, *BINS, generator=generator).to(device)

    def ours() -> Tensor:
        return roi_align(features, boxes, batch_index, BINS, spatial_scale=case.spatial_scale)

    def torchvisions() -> Tensor:
        return torchvision.ops.roi_align(features, rois, BINS, case.spatial_scale, sampling_ratio=2, aligned=True)

    def backward(pool: Callable[[], Tensor]) -> tuple[Tensor, ...]:
        return torch.autograd.grad(pool(), features, weights)

    def kernels() -> Tensor:
        return _Kernel.apply(features, rois, case.spatial_scale)

    def double_backward(pool: Callable[[], Tensor]) -> tuple[Tensor, ...]:
        # Squared, as RoIAlign alone is linear and its gradient does not depend on the features.
        (gradient,) = torch.autograd.grad(pool().square(), features, weights, create_graph=True)
        return torch.autograd.grad(gradient.square().sum(), features)

    for ours_, other in zip(double_backward(ours), double_backward(kernels), strict=True):
        torch.testing.assert_close(ours_, other, rtol=1e-3, atol=1e-3 * float(other.abs().max()))
    runs: dict[str, Callable[[], object]] = {
        "torchvision forward": torchvisions,
        "torchvision forward + backward": lambda: backward(torchvisions),
    }
    for name, pool in (("stal", ours), ("its kernels in turn", kernels)):
        runs[f"{name}: forward"] = pool
        runs[f"{name}: forward + backward"] = partial(backward, pool)
        runs[f"{name}: forward + backward + double backward"] = partial(double_backward, pool)
    return {name: seconds(run, device, repeats) for name, run in runs.items()}


def main() -> None:
    """Parse the arguments, measure every case on every device, and print a table for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=10, help="timed runs, of which the fastest counts (default 10)")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all that PyTorch finds)")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)

    devices = {f"CPU, {torch.get_num_threads()} threads": torch.device("cpu")}
    if torch.cuda.is_available():
        devices[torch.cuda.get_device_name()] = torch.device("cuda")
    for case in CASES:
        for device_name, device in devices.items():
            shape = f"({case.num_images}, {case.channels}, {case.size}, {case.size})"
            table = Table(
                "computation",
                title=f"{case.name}; {device_name}",
                caption=f"{case.num_rois} RoIs, features {shape}, {BINS[0]} x {BINS[1]} bins; "
                "ratio: to torchvision's forward + backward",
            )
            table.add_column("ms", justify="right")
            table.add_column("ratio", justify="right")
            times = measure(case, device, arguments.repeats)
            for name, taken in times.items():
                ratio = taken / times["torchvision forward + backward"]
                table.add_row(name, f"{taken * 1e3:.2f}", f"{ratio:.2f}")
            Console().print(table)


if __name__ == "__main__":
    main()
