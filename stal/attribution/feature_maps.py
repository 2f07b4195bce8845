"""Bring maps over the features of a backbone to the voxels of its clips."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor


def at_clip_size(
    maps: Float[Tensor, "N 1 t h w"],
    frames: Int64[Tensor, " t"],
    spatial_stride: int,
    clip_size: tuple[int, int, int],
) -> Float[Tensor, "N 1 T H W"]:
    """Return maps of features at every voxel of their clips; what lies between them is interpolated.

    In space, features lie in a grid of the stride, as RoIAlign takes them.

    Args:
        maps: one value a feature.
        frames: of the clip that the features stand for, rising.
        spatial_stride: pixels of the clip from one feature to the next.
        clip_size: frames, rows and columns of the clips.
    """
    num_frames, height, width = clip_size
    maps = _at_every_frame(maps, frames.to(maps.device), num_frames)
    *_, rows, columns = maps.shape
    grid = (num_frames, rows * spatial_stride, columns * spatial_stride)
    return F.interpolate(maps, grid, mode="trilinear", align_corners=False)[..., :height, :width]


def _at_every_frame(
    maps: Float[Tensor, "N 1 t h w"], frames: Int64[Tensor, " t"], num_frames: int
) -> Float[Tensor, "N 1 T h w"]:
    """Return maps of some frames, which rise, at every frame of a clip; what lies between them is interpolated."""
    wanted = torch.arange(num_frames, device=frames.device)
    after = torch.searchsorted(frames, wanted).clamp(max=len(frames) - 1)
    before = (after - 1).clamp(min=0)
    share = ((wanted - frames[before]) / (frames[after] - frames[before]).clamp(min=1)).clamp(0, 1)
    return torch.lerp(maps[:, :, before], maps[:, :, after], share.to(maps.dtype)[:, None, None])
