"""Predict videos one after the other, go on where a run ended before, and write down those that cannot be read."""

import time
from collections.abc import Sequence

import torch

from stal.data.detected_tubes import write_detected_tubes
from stal.data.find_videos import video_key
from stal.data.video.stream import open_stream
from stal.data.video.time_limit import time_limit
from stal.engine.display.displays import open_display
from stal.errors import AnnotationError, DataNotFoundError, DeviceMemoryError, StalError, VideoReadError
from stal.inference.demo import DemoOutput, draw_video
from stal.inference.detect_video import detect_video
from stal.inference.predict.results import ResultFolder
from stal.inference.predict.settings import PredictSettings
from stal.inference.predict.videos import ListedVideo
from stal.inference.stream_detector import load_detector

MAX_BEGINNINGS = 3
"""Processes that may end over a video: decoders are native code, which a broken file may crash."""

_REMEDY = "replace the file, leave it out, or raise --max-minutes"
# What is wrong with one video; all else would be wrong with the next as well.
_OF_A_VIDEO = (VideoReadError, DataNotFoundError, AnnotationError)


class VideoPredictor:
    """Predicts a video and writes what comes of it.

    Args:
        settings: say with what.
        run: names the run that this process is of, for those that end it, see `ResultFolder.take_back_run`.

    Raises:
        ConfigError, CheckpointError: see `load_detector`; or a file, such as the weights, was changed since the run
            began.
    """

    def __init__(self, settings: PredictSettings, run: str = "") -> None:
        self.settings = settings
        self.run = run
        self.results = ResultFolder(settings.out)
        self.detector = load_detector(
            settings.config,
            settings.checkpoint,
            proposals=settings.proposals,
            step=settings.step,
            batch_size=settings.batch_size,
            device=settings.device,
            options=settings.options,
        )
        self.results.check(settings.recipe())  # now, when all was read

    def __call__(self, video: ListedVideo) -> int:
        """Write the result of a video, or why it has none, and return how many of its frames were seen.

        A process that is killed is not this video's fault, and a crash may be: after a few of them the video is left
        alone. What is interrupted in an orderly way does not count.

        Raises:
            ConfigError: a file cannot be written.
            DeviceMemoryError: the memory of the GPU is not enough.
        """
        results = self.results
        if results.num_begun(video) >= MAX_BEGINNINGS:
            results.write_failure(
                video,
                "ProcessDeath",
                f"{video.path}: {MAX_BEGINNINGS} processes ended while they worked on it; re-encode it, or delete "
                f"{results.begun_path(video)} to try it again",
            )
            results.leave_out(video)
            return 0
        results.begin_video(video, self.run)
        try:
            return self._predict_or_write_down(video)
        except (StalError, KeyboardInterrupt, SystemExit):  # not of this video
            results.take_back(video)
            raise

    def _predict_or_write_down(self, video: ListedVideo) -> int:
        minutes = self.settings.max_minutes
        try:
            with time_limit(60 * minutes if minutes else None, str(video.path), _REMEDY):
                num_frames = self._predict(video)
        except _OF_A_VIDEO as error:
            self.results.write_failure(video, type(error).__name__, str(error))
            self.results.end_video(video)
            return 0
        except torch.OutOfMemoryError as error:
            raise DeviceMemoryError(
                f"the GPU has not enough memory: lower --batch-size ({self.detector.batch_size}), or let fewer "
                f"processes share a GPU. torch says: {error}"
            ) from error
        self.results.close_video(video)
        return num_frames

    def _predict(self, video: ListedVideo) -> int:
        settings, stream = self.settings, open_stream(video.path)
        key = self._proposals_key(video)
        tubes = self.results.tubes_path(video)
        if settings.draw:
            output = DemoOutput(self.results.drawing_path(video), tubes, settings.gradients, settings.min_score)
            draw_video(stream, self.detector, output, video_key=key, show_progress=False)
        else:
            detected = detect_video(stream, self.detector, settings.min_score, video_key=key, show_progress=False)
            write_detected_tubes(detected, tubes)
        return stream.num_frames

    def _proposals_key(self, video: ListedVideo) -> str:
        """Return what proposals call a video: its path as it is listed, or its bare name if no other has that."""
        key, known = video_key(video.key), self.detector.proposed_videos
        return video.name if known is not None and key not in known and not video.shares_name else key


def predict_videos(settings: PredictSettings, videos: Sequence[ListedVideo], name: str = "predict") -> int:
    """Predict all videos that have no result yet, and return how many of them all have none in the end.

    Args:
        settings: say with what.
        videos: in this order.
        name: of what is done, for the display.

    Raises:
        ConfigError: the settings do not fit together, the folder holds results of others, or cannot be written.
        CheckpointError: the checkpoint cannot be used.
    """
    results = ResultFolder(settings.out)
    results.begin(settings.recipe())
    waiting = [video for video in videos if not results.is_done(video)]
    if not waiting:
        return 0
    predictor = VideoPredictor(settings)
    display = open_display("auto", name, len(videos), len(videos) - len(waiting))
    num_failed, num_frames, start = 0, 0, time.monotonic()
    try:
        for video in waiting:
            num_frames += predictor(video)
            num_failed += not results.is_done(video)
            rate = num_frames / (time.monotonic() - start)
            display.advance(name, {"frames/s": f"{rate:.0f}", "failed": str(num_failed)})
    finally:
        display.stop()
    return num_failed
