"""From the results of clips, as they come, to detections and tubes of whole videos."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from stal.engine.model import ClipResult
from stal.errors import AnnotationError, ConfigError, ShapeError
from stal.linking.linker import Linker
from stal.linking.merging import merge_tubelets
from stal.structures import Annotations, Detections, Tube

_NAMED_VIDEOS = 3  # how many videos an error names


@dataclasses.dataclass(frozen=True)
class VideoResult:
    """What was detected in one video.

    Attributes:
        video_key: the video.
        detections: scored boxes, in any order.
        tubes: detected tubes, each with its score; None to link them from the detections.
    """

    video_key: str
    detections: Detections
    tubes: Sequence[Tube] | None = None


class VideoCollector:
    """Merge and link a video as soon as the last of its clips is there, and forget the clips.

    Args:
        annotations: the videos that results are expected of.
        num_clips: number of clips of each video, by its key; needed for the videos whose results come clip by clip.
        linker: makes tubes of the detections of a video.

    Attributes:
        videos: the finished videos by key, with tubes.
        clips: the clips of the unfinished videos by key, as they came.
    """

    def __init__(self, annotations: Annotations, num_clips: Mapping[str, int], linker: Linker) -> None:
        self.videos: dict[str, VideoResult] = {}
        self.clips: dict[str, list[ClipResult]] = {}
        self._num_frames = {video.key: video.num_frames for video in annotations.videos}
        self._num_clips = num_clips
        self._linker = linker
        self._seen: dict[str, set[tuple[int, int]]] = {}

    def add(self, result: object) -> None:
        """Take in a `ClipResult` or a `VideoResult`.

        A second one of the same clip or video, as samplers that pad give them, changes nothing. Two clips of a video
        are the same if they have the same first and last frame.

        Raises:
            AnnotationError: the video is not annotated.
            ConfigError: it is not known how many clips the video has, or they are more than was said.
            ShapeError: the result is of another type, or does not fit the video.
        """
        if not isinstance(result, ClipResult | VideoResult):
            raise ShapeError(f"a result is a {type(result).__name__}; it must be a ClipResult or a VideoResult")
        if result.video_key not in self._num_frames:
            raise AnnotationError(
                f"a result of video {result.video_key!r}, which is not one of the {len(self._num_frames)} annotated "
                "ones: evaluate with the annotations of the videos that are tested"
            )
        if isinstance(result, ClipResult):
            self._add_clip(result)
        elif result.video_key not in self.videos:
            self._finish(result)

    def remaining(self) -> list[ClipResult | VideoResult]:
        """Return all that is held, from which another collector can go on."""
        return [*self.videos.values(), *(clip for clips in self.clips.values() for clip in clips)]

    def check_complete(self) -> None:
        """Raise an AnnotationError that names the videos of which results are missing, if there are any."""
        missing = [key for key in self._num_frames if key not in self.videos]
        if not missing:
            return
        named = ", ".join(
            f"{key} ({len(self.clips.get(key, []))} of {self._num_clips[key]} clips)" if key in self._num_clips else key
            for key in missing[:_NAMED_VIDEOS]
        )
        raise AnnotationError(
            f"{len(missing)} of {len(self._num_frames)} videos lack results, first {named}: test all their clips, or "
            "evaluate with the annotations of the tested videos alone"
        )

    def _add_clip(self, clip: ClipResult) -> None:
        key = clip.video_key
        if key in self.videos and key not in self._seen:
            return  # the whole video came before
        if not len(clip.frames):
            raise ShapeError(f"a clip of video {key!r} has no frames; leave it out")
        if key not in self._num_clips:
            raise ConfigError(
                f"a clip of video {key!r}, but num_clips does not say how many it has: give the metric the number of "
                "clips of every video, such as num_clips=dataset.num_clips"
            )
        seen = self._seen.setdefault(key, set())
        if _span(clip) in seen:
            return
        seen.add(_span(clip))
        if len(seen) > self._num_clips[key]:
            raise ConfigError(f"video {key!r} has {len(seen)} clips or more, but num_clips says {self._num_clips[key]}")
        if key in self.videos:
            return
        clips = self.clips.setdefault(key, [])
        clips.append(clip)
        if len(clips) == self._num_clips[key]:
            windows = sorted(self.clips.pop(key), key=_span)  # sums do not depend on the order in which clips come
            self._finish(VideoResult(key, self._merge(windows)))

    def _merge(self, clips: Sequence[ClipResult]) -> Detections:
        return merge_tubelets(
            [(clip.frames, clip.boxes, clip.presence[:, :, None] * clip.class_scores[:, None]) for clip in clips],
            num_frames=self._num_frames[clips[0].video_key],
        )

    def _finish(self, video: VideoResult) -> None:
        key, tubes = video.video_key, video.tubes
        _check(video, self._num_frames[key])
        self.clips.pop(key, None)
        if tubes is None:
            tubes = self._linker(video.detections, num_frames=self._num_frames[key])
        self.videos[key] = dataclasses.replace(video, tubes=tubes)


def _check(video: VideoResult, num_frames: int) -> None:
    """Raise unless detections and tubes are within the video, and tubes have scores."""
    last = max([video.detections.frames.max(initial=-1), *(tube.frames[-1] for tube in video.tubes or ())])
    if last >= num_frames:
        raise ShapeError(
            f"video {video.video_key!r}: a result is on frame {last} of 0 to {num_frames - 1}; are its frames 1-based?"
        )
    for tube in video.tubes or ():
        if tube.score is None or not np.isfinite(tube.score):
            raise ShapeError(f"video {video.video_key!r}: tube {tube.id} has score {tube.score}; give it a finite one")


def _span(clip: ClipResult) -> tuple[int, int]:
    """Return the first and the last frame of a clip."""
    return int(clip.frames[0]), int(clip.frames[-1])
