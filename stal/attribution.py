"""Gradient tubes: which voxels of a clip a detection's score depends on, and how many of them are the actor's."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from stal.models.detector import TubeDetector


class GradientTube(NamedTuple):
    """The input gradient of one class logit of one tubelet.

    Attributes:
        saliency: (T, H, W) absolute gradient, summed over colours, divided by its largest value.
        inside_share: share of the gradient's energy (its squares' sum) inside the actor.
        volume_share: share of the clip's voxels inside the actor: what `inside_share` is for a gradient that is spread
            evenly, and so its baseline.
    """

    saliency: Float32[Tensor, "T H W"]
    inside_share: float
    volume_share: float


def input_gradient(
    detector: TubeDetector, clip: Float[Tensor, "C T H W"], tubelet: Float[Tensor, "T 4"], label: int
) -> Float32[Tensor, "C T H W"]:
    """Return d logit / d clip, through the slow and the fast pathway together.

    Args:
        detector: the network; it is put into evaluation mode for the call.
        clip: a normalised clip.
        tubelet: xyxy pixels of the clip, on each of its frames.
        label: the class whose logit is differentiated.
    """
    modes = [(module, module.training) for module in detector.modules()]
    detector.eval()
    device = next(detector.parameters()).device
    try:
        with torch.enable_grad(), torch.autocast(device.type, enabled=False):
            clips = clip[None].detach().float().to(device).requires_grad_()
            index = torch.zeros(1, dtype=torch.int64, device=device)
            logits = detector.class_logits(clips, tubelet[None].float().to(device), index)
            (gradient,) = torch.autograd.grad(logits[0, label], clips)
    finally:
        for module, training in modes:
            module.training = training
    return gradient[0]


def gradient_tube(gradient: Float[Tensor, "C T H W"], actor_mask: Bool[Tensor, "T H W"]) -> GradientTube:
    """Return the gradient tube of an input gradient, and its share inside the actor.

    Args:
        gradient: d logit / d clip.
        actor_mask: True where a voxel is the actor's.
    """
    tiny = torch.finfo(gradient.dtype).tiny
    gradient = gradient / gradient.abs().max().clamp(min=tiny)  # squares of small values would be zero
    saliency = gradient.abs().sum(0)
    energy = gradient.square().sum(0)
    total = energy.sum().clamp(min=tiny)
    return GradientTube(
        saliency=saliency / saliency.max().clamp(min=tiny),
        inside_share=float((energy * actor_mask).sum() / total),
        volume_share=float(actor_mask.float().mean()),
    )
