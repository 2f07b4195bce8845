"""Where in a clip a classifier sees a class: maps over the voxels of clips, which no box was needed to learn."""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from stal.attribution.feature_maps import at_clip_size
from stal.attribution.roi_score import attributing, device_of
from stal.errors import ConfigError
from stal.losses.input_gradients import input_gradients
from stal.models.clip_classifier import ClipClassifier

MapMethod = Literal["cam", "grad_cam", "input_gradient"]


def class_maps(
    classifier: ClipClassifier,
    clips: Float[Tensor, "B C T H W"],
    clip_index: Int64[Tensor, " M"],
    labels: Int64[Tensor, " M"],
    method: MapMethod = "cam",
) -> Float32[Tensor, "M T H W"]:
    """Return maps of classes over clips, from 0 where a map is lowest to 1 where it is highest.

    The network is in evaluation mode and in full precision for the call; nothing of it changes.

    - `cam`: the linear layer taken of each feature by itself (class activation map, Zhou et al. 2016, arXiv
      1512.04150). The means of these maps of the pathways add up to the logit, but for its bias; they are brought to
      the size of the clip, and added up there.
    - `grad_cam`: the features weighted by the mean gradients of the logit, where they speak for the class (Selvaraju et
      al. 2017, arXiv 1610.02391). As these are the weights of the layer, that is `cam` with what is negative at 0.
    - `input_gradient`: |d logit / d clip|, summed over colours (Simonyan et al. 2014, arXiv 1312.6034), and averaged
      over squares as large as the spatial stride of the features: from one pixel to the next it changes too much to be
      one component.

    Args:
        classifier: the network.
        clips: normalised.
        clip_index: the clip of each map.
        labels: the class of each map.
        method: one of the above.

    Returns:
        The maps, 0 where one has the same value everywhere.

    Raises:
        ConfigError: there is no such method.
    """
    check_method(method)
    clips = clips.detach().float().to(device_of(classifier))
    with attributing(classifier):
        if method == "input_gradient":
            maps = _gradient_maps(classifier, clips, clip_index, labels)
        else:
            maps = _activation_maps(classifier, clips, clip_index, labels)
    return _normalized(maps.relu() if method == "grad_cam" else maps)


def check_method(method: str) -> None:
    """Raise a ConfigError unless there is such a method."""
    if method not in get_args(MapMethod):
        raise ConfigError(f"map method {method!r} is none of {', '.join(map(repr, get_args(MapMethod)))}")


@torch.no_grad()
def _activation_maps(
    classifier: ClipClassifier, clips: Tensor, clip_index: Tensor, labels: Tensor
) -> Float[Tensor, "M T H W"]:
    features, backbone = classifier.backbone(clips), classifier.backbone
    num_frames, height, width = clips.shape[2:]
    frames = (backbone.slow_frames(num_frames), torch.arange(num_frames))
    weights = classifier.logits.weight.float().split([maps.shape[1] for maps in features.coarse], dim=1)
    total = clips.new_zeros(len(labels), 1, num_frames, height, width)
    for maps, of_pathway, seen in zip(features.coarse, weights, frames, strict=False):
        of_all_classes = torch.einsum("bcthw,kc->bkthw", maps.float(), of_pathway)
        chosen = of_all_classes[clip_index, labels][:, None]
        total += at_clip_size(chosen, seen, backbone.spatial_stride, (num_frames, height, width))
    return total[:, 0]


def _gradient_maps(
    classifier: ClipClassifier, clips: Tensor, clip_index: Tensor, labels: Tensor
) -> Float[Tensor, "M T H W"]:
    num_frames, height, width = clips.shape[2:]
    stride = classifier.backbone.spatial_stride
    maps = clips.new_zeros(len(labels), num_frames, height, width)
    with torch.enable_grad():
        clips = clips.requires_grad_()
        scores = classifier(clips).logits[clip_index, labels]
        for rows, gradients in input_gradients(scores, clips, clip_index, create_graph=False):
            saliency = gradients.abs().sum(1, keepdim=True)
            squares = F.avg_pool3d(saliency, (1, stride, stride), ceil_mode=True)
            frames = torch.arange(num_frames)
            maps[rows] = at_clip_size(squares, frames, stride, (num_frames, height, width))[:, 0]
    return maps


def _normalized(maps: Float[Tensor, "M T H W"]) -> Float32[Tensor, "M T H W"]:
    low, high = maps.amin((1, 2, 3), keepdim=True), maps.amax((1, 2, 3), keepdim=True)
    return ((maps - low) / (high - low).clamp(min=torch.finfo(maps.dtype).tiny)).float()
