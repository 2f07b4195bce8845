"""What an annotation file does not say about its videos: their length, size and rate."""

import logging
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from stal.data.find_videos import VIDEO_SUFFIXES, list_videos, video_key
from stal.data.video.clock import MAX_FRAME, frames_at_rate
from stal.data.video.reader import VideoFacts, frame_rule, frames_at, video_facts
from stal.errors import AnnotationError, DataNotFoundError, VideoReadError

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class VideoSource:
    """Where a reader learns about videos of which its file says too little.

    Attributes:
        root: folder of the videos or of folders of frames; each is opened.
        size: (height, width) of all videos in pixels, used where `root` is None.
        fps: frames per second of all videos; goes before what a video says of itself, but not before the times of its
            frames.
    """

    root: Path | None = None
    size: tuple[int, int] | None = None
    fps: float | None = None
    _listings: dict[Path, dict[str, Path]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _keys: dict[Path, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    def facts(self, key: str, *, num_frames: int, owner: str, size: tuple[int, int] | None = None) -> VideoFacts:
        """Return what is known of a video; its `num_frames` are those of the annotation.

        These are the frames that the video in `root` decodes to, or lasts for if the annotation needs more, or as many
        as it needs if one or two are missing at the end.

        Args:
            key: of the video, below `root`, with or without suffix. A bare name is looked for in all of `root`, and so
                is one with folders that end the path of a video.
            num_frames: frames that the annotation needs, 0 if it does not count them; without `root` this is taken for
                the number of frames.
            owner: what asks, for errors.
            size: (height, width) in pixels if the annotation says it of this video; goes before that of the source.

        Raises:
            DataNotFoundError: the video is not in `root`.
            VideoReadError: it cannot be decoded, or has fewer frames.
            AnnotationError: the size is not known, or not that of the video in `root`, or that is also another one.
        """
        if self.root is not None:
            facts = self._open(key, owner)
            if size not in (None, (facts.height, facts.width)):
                raise AnnotationError(
                    f"{owner}: video {key} was annotated in {size[1]} x {size[0]} pixels, but {facts.path} has "
                    f"{facts.width} x {facts.height}; give the videos that were annotated"
                )
            return replace(facts, num_frames=_annotated_frames(facts, num_frames, f"{owner}: video {key}"))
        size = size or self.size
        if size is not None:
            return VideoFacts(Path(key), num_frames, num_frames, *size, self.fps)
        raise AnnotationError(
            f"{owner}: this format does not say the size of video {key}; give the folder of the videos (--videos DIR), "
            "or one size for all of them (--size WIDTHxHEIGHT)"
        )

    def facts_at(
        self, key: str, seconds: Float64[np.ndarray, " N"], *, fps: float | None, owner: str
    ) -> tuple[VideoFacts, Int64[np.ndarray, " N"]]:
        """Return what is known of a video, and the frames that it shows at points in time.

        Args:
            key: as for `facts`.
            seconds: from the start of the first frame on, 0 or more.
            fps: frames per second, where the video's frames have no times.
            owner: what asks, for errors.

        Raises:
            DataNotFoundError: the video is not in `root`.
            VideoReadError: it cannot be decoded, or ends before.
            AnnotationError: its rate is needed and not given, its size is not known, or a time is in no video.
        """
        if self.root is not None:
            facts = self._open(key, owner)
            frames, num_frames = frames_at(facts.path, seconds, fps=fps)
        else:
            facts = self.facts(key, num_frames=1, owner=owner)
            if fps is None:
                raise AnnotationError(
                    f"{owner}: the rate of {key} is not known, which makes frames of seconds; give it (--fps)"
                )
            frames, num_frames = frames_at_rate(seconds, fps), 1
        last = int(frames.max(initial=0))
        if last == MAX_FRAME:
            raise AnnotationError(f"{owner}: video {key}: {seconds.max():g} seconds are in no video")
        num_frames = max(num_frames, last + 1)
        if self.root is not None:
            num_frames = _annotated_frames(facts, num_frames, f"{owner}: video {key}")
        return replace(facts, num_frames=num_frames), frames

    def _open(self, key: str, owner: str) -> VideoFacts:
        path = self._find(key, owner)
        other = self._keys.setdefault(path, key)
        if video_key(other) != video_key(key):
            raise AnnotationError(
                f"{owner}: the videos {other} and {key} would both be {path}; give a folder in which each has its own"
            )
        facts = video_facts(path)
        return replace(facts, fps=self.fps or facts.fps)

    def _find(self, key: str, owner: str) -> Path:
        parts = Path(key).parts
        is_below = bool(parts) and ".." not in parts and not Path(key).is_absolute()
        paths = (self._listed(key) or self._that_end_with(parts)) if is_below else []
        if len(paths) != 1:
            found = (
                f"in {self.root} {len(paths)} times, as {paths[0]} and {paths[1]}" if paths else f"not in {self.root}"
            )
            raise DataNotFoundError(
                f"{owner}: video {key} is {found} ({', '.join(VIDEO_SUFFIXES)}, or a folder of frames)"
            )
        return paths[0]

    def _listed(self, key: str) -> list[Path]:
        """Return the video at a key, if it is there; every folder is listed once."""
        wanted = Path(self.root or ".") / key
        if wanted.parent not in self._listings:
            self._listings[wanted.parent] = list_videos(wanted.parent)
        path = self._listings[wanted.parent].get(wanted.name)
        return [] if path is None else [path]

    def _that_end_with(self, parts: tuple[str, ...]) -> list[Path]:
        """Return the video files whose path ends with all parts of a key."""
        return [path for path in self._by_name.get(parts[-1], ()) if path.parts[-len(parts) : -1] == parts[:-1]]

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        """All video files below `root`, by their name with and without suffix."""
        files: dict[str, list[Path]] = {}
        for path in sorted(Path(self.root or ".").rglob("*")):
            if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file():
                for name in {path.name, path.stem}:
                    files.setdefault(name, []).append(path)
        return files


def _annotated_frames(facts: VideoFacts, needed: int, owner: str) -> int:
    """Return in how many frames a video is annotated, given what it decodes to and how many the annotation needs."""
    if needed <= facts.num_frames:
        if 0 < needed < facts.num_frames < facts.num_slots:
            _logger.warning(
                "%s: %s decodes to %d frames but lasts for %d; frames are taken as counted by what decodes",
                owner,
                facts.path,
                facts.num_frames,
                facts.num_slots,
            )
        return facts.num_frames
    if needed <= facts.num_slots:
        return facts.num_slots
    try:
        rule = frame_rule(facts.path, needed)
    except VideoReadError as error:
        raise VideoReadError(f"{owner}: {error}") from error
    _logger.warning(
        "%s: %s decodes to %d frames, but %d are annotated (rule %s)",
        owner,
        facts.path,
        facts.num_frames,
        needed,
        rule,
    )
    return needed
