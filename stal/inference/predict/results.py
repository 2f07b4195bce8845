"""The folder that predictions are written to.

Layout:

    run.json                what the results are of: weights, config, settings
    tubes/<video>.json      what was detected in a video, see `stal.data.detected_tubes`; the video is done
    drawn/<video>.mp4       the video with its tubes, if they are drawn
    failures/<video>.json   why a video has no result
    begun/<video>.txt       a process works on the video, or ended over it: how many began, and the run of the last
    locks/                  which shards are being predicted
    tubes.jsonl             the files of tubes/ in the order of the videos, a line each, when they are merged
    failures.jsonl          the files of failures/ likewise

`<video>` is the key of a video, so that the folders in tubes/ are those that the videos are in; a name that would be
too long for a file is cut, and ends with a digest. Every file is written as a whole, and each is of one video:
processes that share the folder have nothing to agree on. `.part` files, which a killed one leaves, are never read.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stal.data.detected_tubes import FORMAT as TUBES_FORMAT
from stal.data.formats.whole_file import open_whole, part_path
from stal.errors import ConfigError
from stal.inference.predict.videos import ListedVideo

RUN_FILE, DRAWN = "run.json", "drawn"
MERGED_FILE, FAILURES_FILE = "tubes.jsonl", "failures.jsonl"
_START = re.compile(rf'{{"format": "{TUBES_FORMAT}", "version": \d+, "video": ("(?:[^"\\]|\\.)*")'.encode())
_START_BYTES = 16_384  # of a result, with any path
_NUM_NAMED = 3  # videos in a message
_MAX_NAME_BYTES = 255


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
        return self._path_of(video, "tubes", ".json")

    def drawing_path(self, video: ListedVideo) -> Path:
        """Return where the video is drawn with its tubes."""
        return self._path_of(video, DRAWN, ".mp4")

    def begun_path(self, video: ListedVideo) -> Path:
        """Return where it is counted how many processes began a video."""
        return self._path_of(video, "begun", ".txt")

    def is_done(self, video: ListedVideo) -> bool:
        """Whether a video has its result.

        Raises:
            ConfigError: there is the result of another video of the same key, or one that is broken.
        """
        path = self.tubes_path(video)
        try:
            with path.open("rb", buffering=0) as file:
                _check_start(file.read(_START_BYTES), path, video)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return False
        return True

    def begin(self, recipe: Mapping[str, Any]) -> None:
        """Make the folder one of a run, or go on with it.

        Args:
            recipe: all that results depend on, as plain values.

        Raises:
            ConfigError: the results that are there are of another run, or the folder cannot be written.
        """
        path = self.root / RUN_FILE
        if not path.exists():
            own = part_path(path)
            with open_whole(own) as file:
                file.write(json.dumps(recipe, indent=2).encode() + b"\n")
            try:
                os.link(own, path)
            except FileExistsError:  # of those that begin at once, the first says what the run is
                pass
            except OSError:  # a file system without hard links
                own.replace(path)
            finally:
                own.unlink(missing_ok=True)
        self.check(recipe)
        self._close_done_videos()

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
            failure = Failure(**json.loads(self._failure_path(video).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        return failure if failure.path == str(video.path) else None

    def write_failure(self, video: ListedVideo, kind: str, message: str) -> None:
        """Write down why a video has no result.

        Raises:
            ConfigError: it cannot be written.
        """
        with open_whole(self._failure_path(video)) as file:
            file.write(_line(Failure(video.key, str(video.path), kind, message)))

    def num_begun(self, video: ListedVideo) -> int:
        """Return how many processes began a video and did not come to its end, one that works on it now included."""
        return _read_begun(self.begun_path(video))[0]

    def begin_video(self, video: ListedVideo, run: str = "") -> None:
        """Note that a process works on a video.

        Args:
            video: the video.
            run: names the run that the process is of, see `take_back_run`.

        Raises:
            ConfigError: it cannot be written.
        """
        path = self.begun_path(video)
        _write_begun(path, _read_begun(path)[0] + 1, run)

    def leave_out(self, video: ListedVideo) -> None:
        """Note that a video is not begun any more, so that its count stays."""
        path = self.begun_path(video)
        _write_begun(path, _read_begun(path)[0])

    def take_back(self, video: ListedVideo) -> None:
        """Note that the process that works on a video was interrupted, whatever the video is like."""
        _lower_begun(self.begun_path(video))

    def take_back_run(self, run: str) -> None:
        """Do what `take_back` does for all videos that processes of a run work on, which have all ended."""
        for path in (self.root / "begun").rglob("*.txt"):
            if _read_begun(path)[1] == run:
                _lower_begun(path)

    def end_video(self, video: ListedVideo) -> None:
        """Note that the process that worked on a video lives on."""
        self.begun_path(video).unlink(missing_ok=True)

    def close_video(self, video: ListedVideo) -> None:
        """Note that a video has its result, and take back what was said of it before."""
        self._failure_path(video).unlink(missing_ok=True)
        self.end_video(video)

    def merge(self, videos: Sequence[ListedVideo]) -> Merged:
        """Write the results of all videos into one file, and their failures into another.

        Args:
            videos: all of them; they are written in this order.

        Raises:
            ConfigError: a video has neither a result nor a failure yet, or a result is broken or of another video, or a
                file cannot be written.
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
        if content.find(b"\n") != len(content) - 1:
            raise _broken(path)
        return content

    def _close_done_videos(self) -> None:
        """Close the videos whose process was killed when their result was written already."""
        for path in (self.root / "begun").rglob("*.txt"):
            name = path.relative_to(self.root / "begun").with_suffix(".json")
            if (self.root / "tubes" / name).is_file():
                (self.root / "failures" / name).unlink(missing_ok=True)
                path.unlink(missing_ok=True)

    def _failure_path(self, video: ListedVideo) -> Path:
        return self._path_of(video, "failures", ".json")

    def _path_of(self, video: ListedVideo, folder: str, suffix: str) -> Path:
        above, name = os.path.split(video.key)
        encoded = os.fsencode(name)
        if len(encoded) > _MAX_NAME_BYTES - len(".json"):  # the longest suffix, so that a video has one name everywhere
            name = f"{os.fsdecode(encoded[:200])}-{hashlib.sha256(encoded).hexdigest()[:32]}"
        return self.root / folder / above / (name + suffix)


def _check_start(content: bytes, path: Path, video: ListedVideo) -> None:
    """Raise a ConfigError unless this is the start of the result of a video."""
    start = _START.match(content)
    if start is None:
        raise _broken(path)
    source = json.loads(start[1])
    if source != str(video.path):
        raise ConfigError(
            f"{path} is the result of {source}, and {video.path} would have the same; predict it into another folder, "
            "or delete the result if the video was moved"
        )


def _broken(path: Path) -> ConfigError:
    return ConfigError(f"{path} is broken; delete it, and predict its video again")


def _read_begun(path: Path) -> tuple[int, str]:
    """Return how many processes began a video, and the run of the last."""
    try:
        count, _, run = path.read_text(encoding="ascii").partition(" ")
    except (FileNotFoundError, NotADirectoryError):
        return 0, ""
    return int(count), run


def _write_begun(path: Path, count: int, run: str = "") -> None:
    with open_whole(path) as file:
        file.write(f"{count} {run}".encode())


def _lower_begun(path: Path) -> None:
    count, _ = _read_begun(path)
    if count > 1:
        _write_begun(path, count - 1)
    else:
        path.unlink(missing_ok=True)


def _line(failure: Failure) -> bytes:
    return json.dumps(asdict(failure)).encode() + b"\n"
