"""The folder that predictions are written to.

Layout:

    run.json                what the results are of: weights, config, settings
    tubes/<video>.json      what was detected in a video, see `stal.data.detected_tubes`; the video is done
    drawn/<video>.mp4       the video with its tubes, if they are drawn
    failures/<video>.json   why a video has no result
    begun/<video>.txt       a process works on the video, or ended over it; the file counts how many began
    locks/                  which shards are being predicted
    tubes.jsonl             the files of tubes/ in the order of the videos, a line each, when they are merged
    failures.jsonl          the files of failures/ likewise

`<video>` is the key of a video, so that the folders in tubes/ are those that the videos are in. Every file is written
as a whole, and each is of one video: processes that share the folder have nothing to agree on.
"""

import json
import os
import shutil
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stal.data.detected_tubes import FORMAT as TUBES_FORMAT
from stal.data.formats.whole_file import open_whole
from stal.errors import ConfigError
from stal.inference.predict.videos import ListedVideo

RUN_FILE = "run.json"
MERGED_FILE, FAILURES_FILE = "tubes.jsonl", "failures.jsonl"
_START = f'{{"format": "{TUBES_FORMAT}"'.encode()  # of every result
_NUM_NAMED = 3  # videos in a message


@dataclass(frozen=True)
class Failure:
    """Why a video has no result.

    Attributes:
        video: its key.
        path: the video.
        kind: of the error.
        message: what is wrong.
    """

    video: str
    path: str
    kind: str
    message: str


@dataclass(frozen=True)
class Merged:
    """How many videos have a result, and how many failed."""

    num_done: int
    num_failed: int


class ResultFolder:
    """What is there of a run, and where what comes is written.

    Args:
        root: the folder; it is made when something is written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def tubes_path(self, video: ListedVideo) -> Path:
        """Return where the tubes of a video are written, last of all that is written of it."""
        return self.root / "tubes" / f"{video.key}.json"

    def drawing_path(self, video: ListedVideo) -> Path:
        """Return where the video is drawn with its tubes."""
        return self.root / "drawn" / f"{video.key}.mp4"

    def begun_path(self, video: ListedVideo) -> Path:
        """Return where it is counted how many processes began a video."""
        return self.root / "begun" / f"{video.key}.txt"

    def is_done(self, video: ListedVideo) -> bool:
        """Whether a video has its result."""
        return self.tubes_path(video).is_file()

    def begin(self, recipe: Mapping[str, Any]) -> None:
        """Make the folder one of a run, or go on with it.

        Args:
            recipe: all that results depend on, as plain values.

        Raises:
            ConfigError: the results that are there are of another run, or the folder cannot be written.
        """
        path = self.root / RUN_FILE
        if not path.exists():
            # Many processes may begin at once, and each writes the same.
            with open_whole(path.with_name(f"{RUN_FILE}.{socket.gethostname()}.{os.getpid()}")) as file:
                file.write(json.dumps(recipe, indent=2).encode() + b"\n")
            Path(file.name.removesuffix(".part")).replace(path)
        self.check(recipe)

    def check(self, recipe: Mapping[str, Any]) -> None:
        """Raise a ConfigError unless the results that are there are of this run."""
        path = self.root / RUN_FILE
        try:
            there = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ConfigError(f"{self.root} holds no predictions (no {RUN_FILE}); predict into it first") from error
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path} cannot be read ({error}); name another folder, or delete this one") from error
        differing = sorted(key for key in recipe.keys() | there.keys() if recipe.get(key) != there.get(key))
        if differing:
            raise ConfigError(
                f"{self.root} holds results of another run, with another {', '.join(differing)} ({path} has them); "
                "name another folder"
            )

    def find_failure(self, video: ListedVideo) -> Failure | None:
        """Return why a video has no result, None if nobody said so."""
        try:
            return Failure(**json.loads(self._failure_path(video).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def write_failure(self, video: ListedVideo, kind: str, message: str) -> None:
        """Write down why a video has no result.

        Raises:
            ConfigError: it cannot be written.
        """
        with open_whole(self._failure_path(video)) as file:
            file.write(_line(Failure(video.key, str(video.path), kind, message)))

    def forget_failure(self, video: ListedVideo) -> None:
        """Take back that a video has no result."""
        self._failure_path(video).unlink(missing_ok=True)

    def num_begun(self, video: ListedVideo) -> int:
        """Return how many processes began a video and did not come to its end, one that works on it now included."""
        path = self.begun_path(video)
        return int(path.read_text()) if path.is_file() else 0

    def begin_video(self, video: ListedVideo) -> None:
        """Note that a process works on a video.

        Raises:
            ConfigError: it cannot be written.
        """
        count = self.num_begun(video) + 1
        with open_whole(self.begun_path(video)) as file:
            file.write(str(count).encode())

    def end_video(self, video: ListedVideo) -> None:
        """Note that the process that worked on a video lives on."""
        self.begun_path(video).unlink(missing_ok=True)

    def end_all_videos(self) -> None:
        """Note that the processes that worked on videos were ended, whatever these are like."""
        shutil.rmtree(self.root / "begun", ignore_errors=True)

    def merge(self, videos: Sequence[ListedVideo]) -> Merged:
        """Write the results of all videos into one file, and their failures into another.

        Args:
            videos: all of them; they are written in this order.

        Raises:
            ConfigError: a video has neither a result nor a failure yet, or a result is broken, or a file cannot be
                written.
        """
        done = [self.is_done(video) for video in videos]
        failures = [None if is_done else self.find_failure(video) for video, is_done in zip(videos, done, strict=True)]
        missing = [
            video.key
            for video, is_done, failure in zip(videos, done, failures, strict=True)
            if not is_done and failure is None
        ]
        if missing:
            raise ConfigError(
                f"{self.root}: {len(missing)} of {len(videos)} videos are not done yet "
                f"({', '.join(missing[:_NUM_NAMED])}{', ...' if len(missing) > _NUM_NAMED else ''}); let every shard "
                "run to its end, then merge"
            )
        with open_whole(self.root / MERGED_FILE) as tubes, open_whole(self.root / FAILURES_FILE) as failed:
            for video, failure in zip(videos, failures, strict=True):
                if failure is not None:
                    failed.write(_line(failure))
                else:
                    tubes.write(self._read_result(video))
        return Merged(sum(done), len(videos) - sum(done))

    def _read_result(self, video: ListedVideo) -> bytes:
        path = self.tubes_path(video)
        content = path.read_bytes()
        if not content.startswith(_START) or content.find(b"\n") != len(content) - 1:
            raise ConfigError(f"{path} is broken; delete it, predict its video again, and merge then")
        return content

    def _failure_path(self, video: ListedVideo) -> Path:
        return self.root / "failures" / f"{video.key}.json"


def _line(failure: Failure) -> bytes:
    return json.dumps(asdict(failure)).encode() + b"\n"
