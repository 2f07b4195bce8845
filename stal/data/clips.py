"""A data set of clips, and the sampler that gives every sample of every epoch its own random numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Sized

import numpy as np
import torch
from jaxtyping import Int64, Shaped, UInt8
from torch.utils.data import Dataset, Sampler

from stal.data.masks import UNKNOWN, read_masks
from stal.data.sampling import clip_frames, test_keyframes, train_keyframes
from stal.data.transforms import Transform, cut_boxes
from stal.data.video.reader import Backend, read_frames
from stal.errors import AnnotationError
from stal.ops.masks import box_masks
from stal.structures import Annotations, Clip, Video


class ClipDataset(Dataset[Clip]):
    """Clips of annotated videos.

    For training, sample i is a clip around a keyframe drawn from the annotated frames of video i // `clips_per_video`;
    videos without a box are left out. For testing, the clips cover every frame of every video, video after video.

    All random numbers of a sample come from (`seed`, index, sample seed) and nothing else, so that it does not matter
    which worker makes it. The sample seed comes with the index, as `EpochSampler` does it; a plain index has seed 0.
    """

    def __init__(
        self,
        annotations: Annotations,
        num_frames_clip: int,
        stride: int,
        transform: Transform,
        *,
        training: bool,
        seed: int = 0,
        clips_per_video: int = 1,
        step: int | None = None,
        with_masks: bool = False,
        cache_bytes: int = 0,
        backend: Backend = "pyav",
    ) -> None:
        """Prepare the list of samples; no video is opened yet.

        Args:
            annotations: the videos of one split.
            num_frames_clip: frames of a clip.
            stride: frames of the video from one frame of a clip to the next.
            transform: called with every clip and its random generator.
            training: random keyframes with boxes, or all keyframes that cover the videos.
            seed: of everything random.
            clips_per_video: training clips an epoch takes of each video.
            step: frames of the video from one test clip to the next; None for the span of a clip.
            with_masks: read the actors' silhouettes of the videos that have them.
            cache_bytes: memory in each process for whole decoded videos; what does not fit is decoded each time.
            backend: the library that decodes video files, see `read_frames`.

        Raises:
            AnnotationError: there is no video, or none with a box to train on.
        """
        self.annotations = annotations
        self.metainfo = {"classes": annotations.classes}  # mmengine stores it in checkpoints
        self.num_frames_clip = num_frames_clip
        self.stride = stride
        self.transform = transform
        self.training = training
        self.seed = seed
        self.clips_per_video = clips_per_video
        self.step = num_frames_clip * stride if step is None else step
        self.with_masks = with_masks
        self.backend = backend
        self._cache = _VideoCache(cache_bytes)
        if training:
            self.videos = tuple(video for video in annotations.videos if video.tubes)
        else:
            self.videos = annotations.videos
            keyframes = [test_keyframes(v.num_frames, num_frames_clip, stride, self.step) for v in self.videos]
            self._test_videos = np.repeat(np.arange(len(keyframes)), [len(k) for k in keyframes])
            self._test_keyframes = np.concatenate([np.zeros(0, np.int64), *keyframes])
        if not self.videos:
            raise AnnotationError(
                f"none of the {len(annotations.videos)} videos has a box to train on; check the split and the reader"
                if annotations.videos
                else "the annotations hold no video; check the split"
            )

    def __len__(self) -> int:
        return len(self.videos) * self.clips_per_video if self.training else len(self._test_keyframes)

    @property
    def num_clips(self) -> dict[str, int]:
        """Number of clips of each video, by its key, in the order of the samples."""
        if self.training:
            return dict.fromkeys((video.key for video in self.videos), self.clips_per_video)
        counts = np.bincount(self._test_videos).tolist()  # every video has a clip
        return dict(zip((video.key for video in self.videos), counts, strict=True))

    def __getitem__(self, index: int | tuple[int, int]) -> Clip:
        """Return a transformed clip; `index` is its position, or (position, sample seed)."""
        position, sample_seed = index if isinstance(index, tuple) else (index, 0)
        if not 0 <= position < len(self):
            raise IndexError(f"sample {position} of a data set of {len(self)} clips")
        generator = np.random.default_rng((self.seed, position, sample_seed))
        if self.training:
            video = self.videos[position // self.clips_per_video]
            keyframe = generator.choice(train_keyframes(video))
        else:
            video = self.videos[self._test_videos[position]]
            keyframe = self._test_keyframes[position]
        return self.transform(self._read_clip(video, int(keyframe)), generator)

    def _read_clip(self, video: Video, keyframe: int) -> Clip:
        """Return the clip around a keyframe as it is in the video, with the actors that it shows."""
        indices = clip_frames(keyframe, self.num_frames_clip, self.stride, video.num_frames)
        frames = self._read_frames(video, indices)
        boxes = np.zeros((len(video.tubes), len(indices), 4), np.float32)
        valid = np.zeros((len(video.tubes), len(indices)), bool)
        for row, tube in enumerate(video.tubes):
            boxes[row], valid[row] = tube.boxes_at(indices)
        clip_boxes, clip_valid = cut_boxes(torch.from_numpy(boxes), torch.from_numpy(valid), video.height, video.width)
        seen = clip_valid.any(dim=1)
        actor_masks = None
        if self.with_masks and video.masks_path is not None:
            tube_ids = np.array([tube.id for tube in video.tubes], np.int16)[seen.numpy()]
            masks = self._read_masks(video, indices)
            actor_masks = torch.from_numpy(masks == tube_ids[:, None, None, None] + 1)
            if (masks == UNKNOWN).any():
                unknown = torch.from_numpy(masks == UNKNOWN)
                actor_masks |= unknown & box_masks(clip_boxes[seen], video.height, video.width)
        return Clip(
            frames=torch.from_numpy(frames).permute(3, 0, 1, 2),
            boxes=clip_boxes[seen],
            valid=clip_valid[seen],
            labels=torch.tensor([tube.label for tube in video.tubes], dtype=torch.int64)[seen],
            actor_masks=actor_masks,
            video_key=video.key,
            frame_indices=torch.from_numpy(indices),
            to_video=torch.tensor([1.0, 1.0, 0.0, 0.0]),
            video_size=(video.height, video.width),
        )

    def _read_frames(self, video: Video, indices: Int64[np.ndarray, " T"]) -> UInt8[np.ndarray, "T H W 3"]:
        frames = self._cache.read(
            f"{video.key} frames",
            video.num_frames * video.height * video.width * 3,
            video.num_frames,
            indices,
            lambda wanted: read_frames(video.path, wanted, num_frames=video.num_frames, backend=self.backend),
        )
        if frames.shape[1:3] != (video.height, video.width):
            raise AnnotationError(
                f"{video.path}: frames are {frames.shape[1]} x {frames.shape[2]} (height x width), but video "
                f"{video.key} is annotated as {video.height} x {video.width}; its boxes would not fit: rescale them"
            )
        return frames

    def _read_masks(self, video: Video, indices: Int64[np.ndarray, " T"]) -> UInt8[np.ndarray, "T H W"]:
        return self._cache.read(
            f"{video.key} masks",
            video.num_frames * video.height * video.width,
            video.num_frames,
            indices,
            lambda wanted: read_masks(video, wanted),
        )


class _VideoCache:
    """Whole decoded videos, kept until a byte budget is spent."""

    def __init__(self, num_bytes: int) -> None:
        self._free_bytes = num_bytes
        self._volumes: dict[str, np.ndarray] = {}

    def read(
        self,
        key: str,
        num_bytes: int,
        num_frames: int,
        indices: Int64[np.ndarray, " T"],
        read: Callable[[np.ndarray], np.ndarray],
    ) -> Shaped[np.ndarray, "T ..."]:
        """Return the frames at `indices`: from memory, or else by `read`, of the whole video if it fits the budget."""
        if key not in self._volumes:
            if num_bytes > self._free_bytes:
                return read(indices)
            self._volumes[key] = read(np.arange(num_frames))
            self._free_bytes -= num_bytes
        return self._volumes[key][indices]


class EpochSampler(Sampler[tuple[int, int]]):
    """Yield (index, sample seed) pairs in a new random order every epoch, this process's share of them.

    The seeds depend on the seed, the epoch and the position in the epoch, and travel with the index: workers that
    live through many epochs need not be told of a new one. With several processes, each takes every
    `world_size`-th sample; the first samples are repeated at the end so that all have the same number.
    """

    def __init__(self, dataset: Sized, seed: int = 0) -> None:
        """Note the process's rank among those of torch.distributed, or that it is the only one.

        Args:
            dataset: what to take samples of; only its length is used.
            seed: the same on all processes.
        """
        super().__init__()
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        self.rank = torch.distributed.get_rank() if distributed else 0
        self.world_size = torch.distributed.get_world_size() if distributed else 1
        self.num_samples = len(dataset)
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return -(-self.num_samples // self.world_size)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        generator = np.random.default_rng((self.seed, self.epoch))
        order = np.resize(generator.permutation(self.num_samples), len(self) * self.world_size)
        seeds = generator.integers(2**63, size=len(order))
        share = slice(self.rank, None, self.world_size)
        yield from zip(order[share].tolist(), seeds[share].tolist(), strict=True)

    def set_epoch(self, epoch: int) -> None:
        """Choose the order and the seeds of the next pass, 0-based."""
        self.epoch = epoch


def collate_clips(clips: Sequence[Clip]) -> list[Clip]:
    """Leave clips as they are: the device stacks them, where actors can be mixed before."""
    return list(clips)
