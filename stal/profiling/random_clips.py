"""Clips in memory, so that a computation is timed without its data."""

import torch

from stal.structures import Clip


def random_clips(num_clips: int, size: tuple[int, int, int], *, num_actors: int, num_scenes: int = 1) -> list[Clip]:
    """Return clips of noise in which actors move to the right, side by side; always the same ones.

    Args:
        num_clips: how many.
        size: frames, height, width.
        num_actors: of each clip; their labels count from 0.
        num_scenes: the clips show these scenes in turn.
    """
    num_frames, height, width = size
    lefts = torch.arange(num_actors) * width / num_actors
    x1 = lefts[:, None] + torch.linspace(0, width / num_actors / 2, num_frames)
    boxes = torch.stack(
        [x1, torch.full_like(x1, height / 4), x1 + width / num_actors / 2, torch.full_like(x1, height * 3 / 4)], dim=-1
    )
    return [
        Clip(
            frames=torch.randint(
                0, 256, (3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(number)
            ),
            boxes=boxes,
            valid=torch.ones(num_actors, num_frames, dtype=torch.bool),
            labels=torch.arange(num_actors),
            actor_masks=None,
            video_key=f"video {number}",
            frame_indices=torch.arange(num_frames),
            to_video=torch.tensor([1.0, 1.0, 0.0, 0.0]),
            video_size=(height, width),
            scene=number % num_scenes,
            video_labels=torch.arange(num_actors),
        )
        for number in range(num_clips)
    ]
