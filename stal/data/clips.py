"""A data set of clips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from stal.data.balance import Balance, BalancedDraws
from stal.data.ledger import SampleLedger
from stal.data.masks import UNKNOWN, read_masks
from stal.data.reading_board import ReadingBoard
from stal.data.sampling import clip_frames, test_keyframes, train_keyframes
from stal.data.transforms import PendingClip, Transform, cut_boxes
from stal.data.video.mapping import Damaged
from stal.data.video.reader import Backend, damage_of, read_frames, readable_frames
from stal.data.video.time_limit import time_limit
from stal.data.video_cache import VideoCache
from stal.errors import AnnotationError, BadDataError, ConfigError, DataNotFoundError, VideoReadError
from stal.ops.masks import box_masks
from stal.structures import Annotations, Clip, Tube, Video

TransformPlace = Literal["worker", "device"]
Keyframes = Literal["boxes", "any"]

_BAD_SAMPLE = (VideoReadError, DataNotFoundError, AnnotationError)


class ClipDataset(Dataset[Clip | PendingClip]):
    """Clips of annotated videos.

    For training, the `clips_per_video` clips for each video are shared out by `balance`; a clip has an actor on its
    keyframe, and videos without a box are left out, unless `keyframes` are `any`. For testing, the clips cover every
    frame of every video, video after video.

    All random numbers of a sample come from (`seed`, index, sample seed) and nothing else, so that it does not matter
    which worker makes it. The sample seed comes with the index, as `EpochSampler` does it; a plain index has seed 0.

    A training clip that cannot be read (a file is missing, broken, at odds with its annotation, or takes too long) is
    written down in the ledger, and a clip of another video takes its place. That one is drawn from (`seed`, index,
    sample seed, number of the attempt): all other samples stay what they were. Once more than `max_bad_share` of the
    samples are bad, the training ends with an error. In testing nothing is replaced: the error is raised.
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
        balance: Balance = "video",
        keyframes: Keyframes = "boxes",
        step: int | None = None,
        transform_on: TransformPlace = "worker",
        with_masks: bool = False,
        cache_bytes: int = 0,
        backend: Backend = "pyav",
        damaged: Damaged = "error",
        read_timeout_seconds: float | None = 60.0,
        ledger: Path | None = None,
        max_bad_share: float = 0.01,
    ) -> None:
        """Prepare the list of samples; no video is opened yet.

        Args:
            annotations: the videos of one split.
            num_frames_clip: frames of a clip.
            stride: frames of the video from one frame of a clip to the next.
            transform: called with every clip and its random generator.
            training: random keyframes with boxes, or all keyframes that cover the videos.
            seed: of everything random.
            clips_per_video: training clips of an epoch, for each video with a box.
            balance: what comes equally often in training: `video`, `tube`, `class`, or `sqrt` between the last two
                (see `BalancedDraws`).
            keyframes: of training clips. `boxes`: frames with a box. `any`: all frames, also of videos without a box,
                as long as they have a label: for training that asks for no boxes; then the balance is `video`.
            step: frames of the video from one test clip to the next; None for the span of a clip.
            transform_on: `worker`: samples are transformed clips; `device`: they are `PendingClip`, transformed on the
                device. That spares the workers more than half of their time, but whole frames travel there, so it is
                for videos that are not much larger than the transformed clips.
            with_masks: read the actors' silhouettes of the videos that have them.
            cache_bytes: memory in each process for whole decoded videos; what does not fit is decoded each time.
            backend: the library that decodes video files, see `read_frames`.
            damaged: what to do with a video that breaks off, or of which annotated frames are lost: `error`: it is bad;
                `keep`: training takes clips of the part that can be read, and testing holds its last frame. Two kinds
                of damage are read either way: parts of frames that are broken, where no frame is lost, and are as the
                decoder makes them up; and the last one or two frames missing, for which the one before stands in. The
                ledger names each damaged video that is read, once for each process.
            read_timeout_seconds: a clip whose reading takes longer is bad; None for no limit.
            ledger: file that names bad samples and damaged videos, a JSON object on each line; None to log them.
            max_bad_share: part of the training samples that may be bad, from the start of the training on (a resumed
                one counts on), 0 for none. Each process looks when it has a bad one, but lets the first
                `MIN_BAD_SAMPLES` (10) pass; at the end of each epoch `BadSamplesHook` looks at all samples of all
                processes, however few they are.

        Raises:
            AnnotationError: there is no video, or none with a box to train on.
            ConfigError: there is no such balance or place, or a number is out of range.
        """
        if transform_on not in get_args(TransformPlace):
            raise ConfigError(f"transform_on {transform_on!r} is none of {', '.join(get_args(TransformPlace))}")
        if keyframes not in get_args(Keyframes):
            raise ConfigError(f"keyframes {keyframes!r} is none of {', '.join(get_args(Keyframes))}")
        if keyframes == "any" and balance != "video":
            raise ConfigError(f"keyframes 'any' asks for no boxes, so balance must be 'video' and not {balance!r}")
        self.annotations = annotations
        self._scene_numbers = {name: number for number, name in enumerate(annotations.scenes)}
        self.metainfo = {"classes": annotations.classes}  # mmengine stores it in checkpoints
        self.num_frames_clip = num_frames_clip
        self.stride = stride
        self.transform = transform
        self.training = training
        self.seed = seed
        self.clips_per_video = clips_per_video
        self.step = num_frames_clip * stride if step is None else step
        self.transform_on = transform_on
        self.with_masks = with_masks
        self.backend = backend
        self.damaged = damaged
        self.read_timeout_seconds = read_timeout_seconds
        self._cache = VideoCache(cache_bytes)
        self._num_readable: dict[str, int] = {}
        self._looked_at: set[str] = set()  # videos of which the ledger has the damage, if there is any
        self.keyframes = keyframes
        if training:
            self.videos = tuple(v for v in annotations.videos if (v.tubes if keyframes == "boxes" else v.label_set))
        else:
            self.videos = annotations.videos
            tested = [test_keyframes(v.num_frames, num_frames_clip, stride, self.step) for v in self.videos]
            self._test_videos = np.repeat(np.arange(len(tested)), [len(t) for t in tested])
            self._test_keyframes = np.concatenate([np.zeros(0, np.int64), *tested])
        if not self.videos:
            raise AnnotationError(
                f"none of the {len(annotations.videos)} videos has a {'box' if keyframes == 'boxes' else 'label'} to "
                "train on; check the split and the reader"
                if annotations.videos
                else "the annotations hold no video; check the split"
            )
        self.ledger = SampleLedger(ledger, max_bad_share, [video.key for video in self.videos])
        self._rows = {video.key: row for row, video in enumerate(self.videos)}
        self.readings = ReadingBoard([str(video.path) for video in self.videos])
        if training:
            self._draws = BalancedDraws(self.videos, balance)

    def __len__(self) -> int:
        return len(self.videos) * self.clips_per_video if self.training else len(self._test_keyframes)

    @property
    def num_clips(self) -> dict[str, int]:
        """Number of clips of each video, by its key, in the order of the samples.

        Raises:
            ConfigError: it differs from epoch to epoch, since tubes or classes are balanced.
        """
        if self.training:
            if self._draws.balance != "video":
                raise ConfigError(f"balance {self._draws.balance!r}: the clips of a video differ from epoch to epoch")
            return dict.fromkeys((video.key for video in self.videos), self.clips_per_video)
        counts = np.bincount(self._test_videos).tolist()  # every video has a clip
        return dict(zip((video.key for video in self.videos), counts, strict=True))

    def __getitem__(self, index: int | tuple[int, int]) -> Clip | PendingClip:
        """Return a clip, transformed or to be; `index` is its position, or (position, sample seed)."""
        position, sample_seed = index if isinstance(index, tuple) else (index, 0)
        if not 0 <= position < len(self):
            raise IndexError(f"sample {position} of a data set of {len(self)} clips")
        clip, generator = (self._draw_clip if self.training else self._test_clip)(position, sample_seed)
        if self.transform_on == "device":
            return PendingClip(clip, self.transform, generator)
        return self.transform(clip, generator)

    def _test_clip(self, position: int, sample_seed: int) -> tuple[Clip, np.random.Generator]:
        """Return a test clip, and the random generator for its transform."""
        video = self.videos[self._test_videos[position]]
        with self._reading(video):
            clip = self._read_clip(video, int(self._test_keyframes[position]), video.num_frames)
            damage = self._find_damage(video)
        self._record_damage(video, damage)
        return clip, np.random.default_rng((self.seed, position, sample_seed))

    def _draw_clip(self, position: int, sample_seed: int) -> tuple[Clip, np.random.Generator]:
        """Return a training clip, after as many attempts as it takes, and the random generator that it was drawn by."""
        entropy = (self.seed, position, sample_seed)
        generator = np.random.default_rng(entropy)
        candidate = self._draws.draw(position, len(self), generator)
        bad_videos: list[str] = []
        while True:
            video, tubes = candidate
            keyframe = None
            try:
                with self._reading(video):
                    num_frames = self._num_readable_frames(video)
                    keyframe = self._draw_keyframe(video, tubes, num_frames, generator)
                    clip = self._read_clip(video, keyframe, num_frames)
                    damage = self._find_damage(video)
            except _BAD_SAMPLE as error:
                bad_videos.append(video.key)
                generator = np.random.default_rng((*entropy, len(bad_videos)))
                replacement = self._draws.redraw(bad_videos, generator)
                self.ledger.record_bad(
                    error,
                    video=video.key,
                    path=str(video.path),
                    keyframe=keyframe,
                    position=position,
                    sample_seed=sample_seed,
                    attempt=len(bad_videos),
                    replacement=replacement and replacement.video.key,
                )
                if replacement is None:
                    raise BadDataError(
                        f"no video is left to take the place of a bad sample: {len(bad_videos)} were tried, named"
                        f"{self.ledger.place}; the last: {error}"
                    ) from error
                candidate = replacement
            else:
                self._record_damage(video, damage)
                self.ledger.count_good()
                return clip, generator

    def _draw_keyframe(
        self, video: Video, tubes: Sequence[Tube], num_frames: int, generator: np.random.Generator
    ) -> int:
        """Return one of the first `num_frames` frames of a video; if boxes are asked for, one with one of the tubes."""
        if self.keyframes == "any":
            return int(generator.integers(num_frames))
        keyframes = train_keyframes(tubes)
        keyframes = keyframes[keyframes < num_frames]
        if len(keyframes) == 0:
            raise VideoReadError(
                f"{video.path}: only {num_frames} of {video.num_frames} frames can be read, and no box to train on is "
                "on them; download it again"
            )
        return int(generator.choice(keyframes))

    @contextmanager
    def _reading(self, video: Video) -> Iterator[None]:
        """Note what is read, and limit the time that it takes."""
        with self.readings.reading(self._rows[video.key]), time_limit(self.read_timeout_seconds, str(video.path)):
            yield

    def _num_readable_frames(self, video: Video) -> int:
        """Return how many frames at the start of a video are to be used."""
        if self.damaged == "error":
            return video.num_frames
        if video.key not in self._num_readable:
            self._num_readable[video.key] = readable_frames(video.path, video.num_frames)
        return self._num_readable[video.key]

    def _find_damage(self, video: Video) -> str | None:
        """Return what is wrong with a video that was read; None also if it was asked before."""
        return None if video.key in self._looked_at else damage_of(video.path, video.num_frames)

    def _record_damage(self, video: Video, damage: str | None) -> None:
        """Write down, but for the first time only, what is wrong with a video; no time limit may cut the line short."""
        if damage is not None:
            self.ledger.record_damaged(damage, video=video.key, path=str(video.path))
        self._looked_at.add(video.key)

    def _read_clip(self, video: Video, keyframe: int, num_frames: int) -> Clip:
        """Return the clip around a keyframe, among the first `num_frames` of a video, with the actors that it shows."""
        indices = clip_frames(keyframe, self.num_frames_clip, self.stride, num_frames)
        frames = self._read_frames(video, indices)
        boxes, valid = _boxes_at(video, indices)
        seen = valid.any(dim=1)
        actor_masks = None
        if self.with_masks and video.masks_path is not None:
            tube_ids = np.array([tube.id for tube in video.tubes], np.int64)[seen.numpy()]
            masks = self._read_masks(video, indices)
            actor_masks = torch.from_numpy(masks == tube_ids[:, None, None, None] + 1)
            if (masks == UNKNOWN).any():
                unknown = torch.from_numpy(masks == UNKNOWN)
                actor_masks |= unknown & box_masks(boxes[seen], video.height, video.width)
        return Clip(
            frames=torch.from_numpy(frames).permute(3, 0, 1, 2),
            boxes=boxes[seen],
            valid=valid[seen],
            labels=torch.tensor([tube.label for tube in video.tubes], dtype=torch.int64)[seen],
            actor_masks=actor_masks,
            video_key=video.key,
            frame_indices=torch.from_numpy(indices),
            to_video=torch.tensor([1.0, 1.0, 0.0, 0.0]),
            video_size=(video.height, video.width),
            scene=-1 if video.scene is None else self._scene_numbers[video.scene],
            video_labels=torch.tensor(video.label_set, dtype=torch.int64),
        )

    def _read_frames(self, video: Video, indices: Int64[np.ndarray, " T"]) -> UInt8[np.ndarray, "T H W 3"]:
        frames = self._cache.read(
            f"{video.key} frames",
            video.num_frames * video.height * video.width * 3,
            video.num_frames,
            indices,
            lambda wanted: read_frames(
                video.path, wanted, num_frames=video.num_frames, backend=self.backend, damaged=self.damaged
            ),
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


def _boxes_at(video: Video, frames: Int64[np.ndarray, " T"]) -> tuple[Float32[Tensor, "N T 4"], Bool[Tensor, "N T"]]:
    """Return the boxes of all tubes of a video on some frames, cut to it, and where there is one."""
    boxes = np.zeros((len(video.tubes), len(frames), 4), np.float32)
    valid = np.zeros((len(video.tubes), len(frames)), bool)
    for row, tube in enumerate(video.tubes):
        boxes[row], valid[row] = tube.boxes_at(frames)
    return cut_boxes(torch.from_numpy(boxes), torch.from_numpy(valid), video.height, video.width)


def collate_clips(clips: Sequence[Clip | PendingClip]) -> list[Clip | PendingClip]:
    """Leave clips as they are: the device stacks them, where actors can be mixed before."""
    return list(clips)
