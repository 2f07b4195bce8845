"""RoIAlign that can be differentiated twice with respect to the features.

`torchvision.ops.roi_align` has no double backward (pytorch/vision issue 1982); a penalty on input gradients needs one.
RoIAlign (He et al., "Mask R-CNN", ICCV 2017) is linear in the features and separable in y and x:

    out[r] = A_y[r] @ features[image of r] @ A_x[r].T        (h, H) @ (H, W) @ (W, w), for every channel

with two small interpolation matrices per RoI. Matrix products have derivatives of every order, forward and backward,
and are deterministic, unlike the atomic additions of torchvision's backward on a GPU. Boxes are constants here: no
gradient reaches them, as in torchvision.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from stal.errors import ShapeError


def roi_align(
    features: Float[Tensor, "N C H W"],
    boxes: Float[Tensor, "R 4"],
    batch_index: Int64[Tensor, " R"],
    output_size: tuple[int, int],
    *,
    spatial_scale: float,
    sampling_ratio: int = 2,
    aligned: bool = True,
) -> Float[Tensor, "R C h w"]:
    """Pool the features under every box into a grid of bins, as `torchvision.ops.roi_align` does.

    The products run in float32 (float64 for float64 features), under autocast too; the result has the features' dtype.

    Args:
        features: one map per image.
        boxes: xyxy pixels of the input image, treated as constants.
        batch_index: image of every box; boxes sorted by image save a copy of the result.
        output_size: bins (height, width).
        spatial_scale: size of a feature map divided by that of its image, such as 1 / 16.
        sampling_ratio: samples per bin and axis; 0 or less takes as many as a bin has feature pixels, rounded up.
        aligned: shift by half a pixel, so that pixel centres meet; False keeps the older convention, in which a box
            also is at least one feature pixel wide and high.

    Returns:
        Pooled features; channels vary fastest in memory, so reshape them rather than view them.

    Raises:
        ShapeError: A box is not finite, an index names no image, or shapes disagree.
    """
    pooled = _pool(
        features.unsqueeze(2), boxes.unsqueeze(1), batch_index, output_size, spatial_scale, sampling_ratio, aligned
    )
    return pooled.squeeze(2)


def tube_roi_align(
    features: Float[Tensor, "B C T H W"],
    tubelets: Float[Tensor, "R T 4"],
    batch_index: Int64[Tensor, " R"] | None,
    output_size: tuple[int, int],
    *,
    spatial_scale: float,
    sampling_ratio: int = 2,
) -> Float[Tensor, "R C T h w"]:
    """Pool the features under every tubelet: RoIAlign (`aligned=True`) with a box of its own on every feature frame.

    The products run in float32 (float64 for float64 features), under autocast too; the result has the features' dtype.

    Args:
        features: one map per clip and feature frame.
        tubelets: xyxy pixels of the clip, one box per feature frame, treated as constants. A frame on which the actor
            is absent still needs a finite box; what is pooled there is for the caller to mask.
        batch_index: clip of every tubelet; tubelets sorted by clip save a copy of the result. None: every clip has as
            many, those of clip 0 first. Then no value is looked at, which `torch.export` asks for.
        output_size: bins (height, width).
        spatial_scale: size of a feature map divided by that of its clip, such as 1 / 16.
        sampling_ratio: samples per bin and axis; 0 or less takes as many as a bin has feature pixels, rounded up.

    Returns:
        Pooled features; channels vary fastest in memory, so reshape them rather than view them.

    Raises:
        ShapeError: A box is not finite, an index names no clip, or shapes disagree.
    """
    return _pool(features, tubelets, batch_index, output_size, spatial_scale, sampling_ratio, aligned=True)


def _pool(
    features: Float[Tensor, "B C T H W"],
    boxes: Float[Tensor, "R T 4"],
    batch_index: Int64[Tensor, " R"] | None,
    output_size: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> Float[Tensor, "R C T h w"]:
    """Build the interpolation matrices and contract each clip's features with those of its own RoIs."""
    if batch_index is None:
        return _pool_evenly(features, boxes, output_size, spatial_scale, sampling_ratio, aligned)
    clip_of = _checked_clips(features, boxes, batch_index, output_size)
    with torch.autocast(features.device.type, enabled=False):
        dtype = torch.float64 if features.dtype == torch.float64 else torch.float32
        scaled = boxes.detach().to(dtype) * spatial_scale - (0.5 if aligned else 0.0)
        order = torch.argsort(batch_index, stable=True)
        x1, y1, x2, y2 = scaled[order].transpose(0, 1).unbind(-1)  # each (T, R), the RoIs of a clip side by side
        (bins_y, bins_x), (height, width) = output_size, features.shape[-2:]
        weights_y = _interpolation_matrices(y1, y2, bins_y, height, sampling_ratio, aligned)
        weights_x = _interpolation_matrices(x1, x2, bins_x, width, sampling_ratio, aligned)

        # Channels last: the long contiguous axis is then the columns of both products, and none needs another copy.
        maps = features.to(dtype).permute(0, 2, 3, 4, 1).contiguous()
        counts = [clip_of.count(clip) for clip in range(len(maps))]
        parts = zip(maps.unbind(), weights_y.split(counts, dim=1), weights_x.split(counts, dim=1), strict=True)
        pooled = torch.cat([_contract(*part) for part in parts], dim=1).permute(1, 4, 0, 2, 3)
        if clip_of != sorted(clip_of):
            pooled = pooled[torch.argsort(order)]
        return pooled.to(features.dtype)


def _pool_evenly(
    features: Float[Tensor, "B C T H W"],
    boxes: Float[Tensor, "R T 4"],
    output_size: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> Float[Tensor, "R C T h w"]:
    """Return what `_pool` does where every clip has as many RoIs, those of clip 0 first: one product for all clips."""
    (num_clips, _, num_frames, height, width), (bins_y, bins_x) = features.shape, output_size
    if boxes.shape[1:] != (num_frames, 4) or boxes.shape[0] % num_clips:
        raise ShapeError(
            f"RoIAlign: boxes {tuple(boxes.shape)} must be (R, {num_frames}, 4), where R is a multiple of {num_clips}, "
            "the number of clips: without a batch_index every clip has as many"
        )
    with torch.autocast(features.device.type, enabled=False):
        dtype = torch.float64 if features.dtype == torch.float64 else torch.float32
        scaled = boxes.detach().to(dtype) * spatial_scale - (0.5 if aligned else 0.0)
        x1, y1, x2, y2 = scaled.reshape(num_clips, -1, num_frames, 4).transpose(1, 2).unbind(-1)  # each (B, T, P)
        weights_y = _interpolation_matrices(y1, y2, bins_y, height, sampling_ratio, aligned)
        weights_x = _interpolation_matrices(x1, x2, bins_x, width, sampling_ratio, aligned)
        maps = features.to(dtype).permute(0, 2, 3, 4, 1).contiguous()
        pooled = _contract(maps, weights_y, weights_x).permute(0, 2, 5, 1, 3, 4)
        return pooled.flatten(0, 1).to(features.dtype)


def _contract(
    maps: Float[Tensor, "*F H W C"], weights_y: Float[Tensor, "*F R h H"], weights_x: Float[Tensor, "*F R w W"]
) -> Float[Tensor, "*F R h w C"]:
    """Interpolate feature maps along y, then along x."""
    *frames, height, width, channels = maps.shape
    rois, bins_y = weights_y.shape[-3:-1]
    rows = weights_y.reshape(*frames, rois * bins_y, height) @ maps.reshape(*frames, height, width * channels)
    return weights_x.unsqueeze(-3) @ rows.reshape(*frames, rois, bins_y, width, channels)


def _interpolation_matrices(
    start: Float[Tensor, "*S"],
    end: Float[Tensor, "*S"],
    num_bins: int,
    length: int,
    sampling_ratio: int,
    aligned: bool,
) -> Float[Tensor, "*S {num_bins} {length}"]:
    """Return what each of `length` feature pixels adds to each bin of the intervals from `start` to `end`.

    A bin is the mean of its samples; a sample is interpolated linearly between two neighbouring pixels. The operations
    come in the order of torchvision's kernel, so that a sample on the border is rounded to the same side.
    """
    extent = end - start if aligned else (end - start).clamp(min=1)
    bin_size = extent / num_bins
    if sampling_ratio > 0:
        num_samples, most_samples = torch.full_like(bin_size, sampling_ratio), sampling_ratio
    else:
        num_samples = bin_size.ceil().clamp(min=0)
        most_samples = int(max(num_samples.flatten().tolist(), default=0))
    bins = torch.arange(num_bins, device=start.device, dtype=start.dtype)
    samples = torch.arange(most_samples, device=start.device, dtype=start.dtype)
    pixels = torch.arange(length, device=start.device, dtype=start.dtype)

    start, bin_size, num_samples = (value[..., None, None] for value in (start, bin_size, num_samples))
    divisor = num_samples.clamp(min=1)  # an interval of no extent has no samples, and its bins are zero
    position = start + bins[:, None] * bin_size + (samples + 0.5) * bin_size / divisor
    # A sample up to one pixel outside takes the value of the border; one farther away is zero.
    counted = (position >= -1) & (position <= length) & (samples < num_samples)
    distance = (position.clamp(0, length - 1)[..., None] - pixels).abs()
    return ((1 - distance).clamp(min=0) * counted[..., None]).sum(dim=-2) / divisor


def _checked_clips(features: Tensor, boxes: Tensor, batch_index: Tensor, output_size: tuple[int, int]) -> list[int]:
    """Return `batch_index` as a list, or raise where the pooling would fail or be silently wrong."""
    clips, frames, rois = features.shape[0], features.shape[2], len(batch_index)
    if boxes.shape != (rois, frames, 4):
        raise ShapeError(
            f"RoIAlign: boxes {tuple(boxes.shape)} must be ({rois}, {frames}, 4) for {rois} entries of batch_index and "
            f"{frames} feature frames; sample the boxes on the frames of the features"
        )
    if min(output_size) < 1:
        raise ShapeError(f"RoIAlign: output_size {output_size} must be at least one bin each way")
    if not bool(torch.isfinite(boxes).all()):
        row = int((~torch.isfinite(boxes)).flatten(1).any(dim=1).nonzero()[0])
        raise ShapeError(f"RoIAlign: the box of RoI {row} is {boxes[row].tolist()}, not finite; has training diverged?")
    clip_of: list[int] = batch_index.tolist()
    if clip_of and not 0 <= min(clip_of) <= max(clip_of) < clips:
        raise ShapeError(
            f"RoIAlign: batch_index runs from {min(clip_of)} to {max(clip_of)}, but there are {clips} feature maps "
            f"(0 to {clips - 1})"
        )
    return clip_of
