"""What an annotation file does not say about its videos: their length, size and rate."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from stal.data.find_videos import VIDEO_SUFFIXES, find_videos
from stal.data.video.reader import VideoFacts, video_facts
from stal.errors import AnnotationError, DataNotFoundError


@dataclass(frozen=True)
class VideoSource:
    """Where a reader learns about videos of which its file says too little.

    Attributes:
        root: folder of the videos or of folders of frames; each is opened.
        size: (height, width) of all videos in pixels, used where `root` is None.
        fps: frames per second of all videos; goes before what a video says of itself.
    """

    root: Path | None = None
    size: tuple[int, int] | None = None
    fps: float | None = None

    def facts(self, key: str, *, num_frames: int, owner: str, size: tuple[int, int] | None = None) -> VideoFacts:
        """Return what is known of a video.

        Args:
            key: of the video, below `root`, with or without suffix; a bare name is looked for in all of `root`.
            num_frames: frames that the annotation needs; without `root` this is taken for the number of frames.
            owner: what asks, for errors.
            size: (height, width) in pixels if the annotation says it of this video; goes before that of the source.

        Raises:
            DataNotFoundError: the video is not in `root`.
            VideoReadError: it cannot be decoded.
            AnnotationError: the size is not known, or not that of the video in `root`.
        """
        if self.root is not None:
            facts = video_facts(self._find(key, owner))
            if size not in (None, (facts.height, facts.width)):
                raise AnnotationError(
                    f"{owner}: video {key} was annotated in {size[1]} x {size[0]} pixels, but {facts.path} has "
                    f"{facts.width} x {facts.height}; give the videos that were annotated"
                )
            return VideoFacts(facts.path, facts.num_frames, facts.height, facts.width, self.fps or facts.fps)
        size = size or self.size
        if size is not None:
            return VideoFacts(Path(key), num_frames, *size, self.fps)
        raise AnnotationError(
            f"{owner}: this format does not say the size of video {key}; give the folder of the videos (--videos DIR), "
            "or one size for all of them (--size WIDTHxHEIGHT)"
        )

    def _find(self, key: str, owner: str) -> Path:
        root = Path(self.root or ".")
        path = find_videos(root, [key]).get(key) or self._by_name.get(Path(key).name)
        if path is None:
            raise DataNotFoundError(
                f"{owner}: video {key} is not in {self.root} ({', '.join(VIDEO_SUFFIXES)}, or a folder of frames)"
            )
        return path

    @cached_property
    def _by_name(self) -> dict[str, Path]:
        """All video files below `root`, by their name with and without suffix, where that is unique."""
        files: dict[str, list[Path]] = {}
        for path in sorted(Path(self.root or ".").rglob("*")):
            if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file():
                for name in {path.name, path.stem}:
                    files.setdefault(name, []).append(path)
        return {name: paths[0] for name, paths in files.items() if len(paths) == 1}
