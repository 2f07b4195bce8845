"""The tubes of a whole video, however long: what is held is a window of frames, and the boxes of all."""

from collections.abc import Sequence

from stal.data.detected_tubes import DetectedVideo
from stal.data.video.stream import StreamedVideo
from stal.engine.display.counting import counting
from stal.inference.stream_detector import StreamDetector
from stal.linking.merging import merge_in_order
from stal.structures import Detections, Tube


def detect_video(
    stream: StreamedVideo,
    detector: StreamDetector,
    min_score: float,
    *,
    video_key: str | None = None,
    show_progress: bool = True,
) -> DetectedVideo:
    """Return the tubes of a video file or a folder of frames.

    Args:
        stream: the video.
        detector: what sees the tubes.
        min_score: tubes that score less are left out.
        video_key: what proposals call the video; None for the name of the file without its suffix.
        show_progress: show on the error stream how far it is.

    Raises:
        VideoReadError: a frame cannot be decoded.
    """
    with counting("detecting", stream.num_frames, is_shown=show_progress) as counted:
        keyframes = detector.keyframes(stream.num_frames)
        windows = detector.windows(counted(stream.frames()), keyframes, video_key or stream.path.stem)
        # The linker would drop the others too; here they are dropped before they fill the memory.
        kept = [detector.linker.candidates(part.detections) for part in merge_in_order(detector.detect(windows))]
    return DetectedVideo(
        source=str(stream.path),
        height=stream.height,
        width=stream.width,
        fps=float(stream.fps),
        has_fixed_rate=stream.has_fixed_rate,
        seconds=stream.seconds,
        classes=detector.classes,
        tubes=surest(detector.linker(Detections.concatenate(kept), num_frames=stream.num_frames), min_score),
    )


def surest(tubes: Sequence[Tube], min_score: float) -> list[Tube]:
    """Return the tubes that score enough, the surest first."""
    kept = [tube for tube in tubes if (tube.score or 0.0) >= min_score]
    return sorted(kept, key=lambda tube: -(tube.score or 0.0))
