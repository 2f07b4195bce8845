"""Copy the videos of a data set into a form that is faster to read, and go on where the last run ended.

Processes make the copies below the folder `partial`; this one moves those that are complete to their places, and notes
them in the manifest. So a run may end at any moment: the next one removes what is partial and keeps what is noted.
"""

import contextlib
import dataclasses
import errno
import os
import secrets
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stal.data.formats.tubes_json import write_tubes_json
from stal.data.prepare.frame_folders import remove_frames
from stal.data.prepare.manifest import Manifest, open_manifest, size_of, state_of, writing_to
from stal.data.prepare.one_copy import CopyJob, CopyKind, CopyOutcome, failed_write, make_copy, remove, settings_of
from stal.data.prepare.places import choose_places
from stal.data.prepare.tables import build_tables
from stal.data.processes import ProcessDeath, run_with_progress
from stal.errors import ConfigError
from stal.structures import Annotations, Video

ANNOTATIONS_FILE = "annotations.json"

_NUM_SAMPLED = 8  # copies after which it is estimated how much space the others need
_GIB = 2**30


@dataclass(frozen=True)
class Preparation:
    """What came of copying the videos of a data set.

    Attributes:
        annotations_file: the annotations with the copies; None if it was not written, because videos are bad.
        num_made: copies that were made.
        num_kept: copies that were complete already.
        num_bytes: of all copies.
        rules: how many videos have their annotated frames found by which rule (`map_frames`).
        bad: why there is no copy, by the key of the video.
    """

    annotations_file: Path | None
    num_made: int
    num_kept: int
    num_bytes: int
    rules: dict[str, int]
    bad: dict[str, str]


def prepare(
    annotations: Annotations,
    out: str | Path,
    kind: CopyKind,
    *,
    num_processes: int = 1,
    skip_bad: bool = False,
    show_progress: bool = False,
) -> Preparation:
    """Copy the videos of a data set, and write annotations that name the copies: `OUT/annotations.json`.

    Silhouettes are not copied: the annotations name those that there are.

    Args:
        annotations: the data set.
        out: folder of the copies: one that is empty or not there, or that of an earlier run.
        kind: of the copies, with their settings; those of other settings, and of sources that changed, are made anew.
        num_processes: that copy.
        skip_bad: leave videos that cannot be copied out of the annotations, which are else not written at all.
        show_progress: show a bar on a terminal.

    Raises:
        AnnotationError: keys of videos cannot be names of files.
        ConfigError: `out` cannot be written to, or its disk has too little space.
    """
    if num_processes < 1:
        raise ConfigError(f"{num_processes} processes: at least 1 works")
    out = Path(out).resolve()
    places = choose_places(annotations.videos, out, kind.place)
    videos = [dataclasses.replace(video, tubes=()) for video in annotations.videos]
    with open_manifest(out, kind.name) as manifest:
        todo = [video for video in videos if not _is_finished(video, kind, places[video.key], manifest)]
        if todo:
            with writing_to(out):
                (out / ANNOTATIONS_FILE).unlink(missing_ok=True)
        bad = _Run(out, kind, places, manifest).make_copies(todo, num_processes, show_progress)
        bad |= _find_wrong_copies(
            [v for v in videos if v.key not in bad], places, manifest, num_processes, show_progress
        )
        good = tuple(_with_copy(video, places) for video in annotations.videos if video.key not in bad)
        is_written = bool(good) and (skip_bad or not bad)
        if is_written:
            _write_annotations(dataclasses.replace(annotations, videos=good), out)
        records = [manifest.find(video.key) for video in good]
    num_made = len([video for video in todo if video.key not in bad])
    return Preparation(
        annotations_file=out / ANNOTATIONS_FILE if is_written else None,
        num_made=num_made,
        num_kept=len(good) - num_made,
        num_bytes=sum(record["copy"]["num_bytes"] for record in records),
        rules=dict(Counter(record["rule"] for record in records)),
        bad=bad,
    )


@dataclass(frozen=True)
class _Run:
    """What the copies of one run have in common."""

    out: Path
    kind: CopyKind
    places: dict[str, Path]
    manifest: Manifest

    def make_copies(self, todo: Sequence[Video], num_processes: int, show_progress: bool) -> dict[str, str]:
        """Make copies of videos, and return why others could not be made, by key."""
        bad = {}
        space = _Space(self.out, todo)
        with self._partial_folder() as partial:
            jobs = [CopyJob(video, self.kind, partial / str(number)) for number, video in enumerate(_spread(todo))]
            outcomes = run_with_progress(make_copy, jobs, num_processes, "Copies", show_progress)
            with contextlib.closing(outcomes) as outcomes:
                for job, outcome in outcomes:
                    outcome = self._publish(job, outcome)
                    if outcome.is_disk_full:
                        raise ConfigError(f"{self.out}: the disk is full; free some space and run this again to go on")
                    if outcome.record is None:
                        bad[job.video.key] = outcome.error
                    else:
                        space.check(job.video, outcome.record["copy"]["num_bytes"])
        return bad

    def _publish(self, job: CopyJob, outcome: CopyOutcome | ProcessDeath) -> CopyOutcome:
        """Move a copy that is complete to its place, and note it."""
        if isinstance(outcome, ProcessDeath):
            remove(job.partial)
            return CopyOutcome(None, f"video {job.video.key}: {outcome} while it read {job.video.path}")
        if outcome.record is None:
            return outcome
        key = job.video.key
        place = self.places[key]
        try:
            if place.exists() and key not in self.manifest:
                raise FileExistsError(errno.EEXIST, "a file that is not of this tool; move it away", str(place))
            self.manifest.add({"key": key})
            place.parent.mkdir(parents=True, exist_ok=True)
            if place.is_dir():
                remove_frames(place)
            os.replace(job.partial, place)
        except OSError as error:
            return failed_write(job.video, error)
        self.manifest.add(outcome.record)
        return outcome

    @contextlib.contextmanager
    def _partial_folder(self) -> Iterator[Path]:
        """Give this run a folder of its own: processes of one that was killed may write for a moment yet."""
        partial = self.out / "partial"
        remove(partial)
        folder = partial / f"{os.getpid()}-{secrets.token_hex(4)}"
        with writing_to(self.out):
            folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            remove(partial)


class _Space:
    """The space that copies need, estimated once from the first few."""

    def __init__(self, out: Path, todo: Sequence[Video]) -> None:
        self._out = out
        self._num_made = self._num_bytes = self._num_pixels = 0
        self._num_pixels_left = sum(map(_num_pixels, todo))

    def check(self, video: Video, num_bytes: int) -> None:
        """Count a copy; raise if it is the last of the sample, and the others will not fit on the disk."""
        self._num_made += 1
        self._num_bytes += num_bytes
        self._num_pixels += _num_pixels(video)
        self._num_pixels_left -= _num_pixels(video)
        if self._num_made != _NUM_SAMPLED:
            return
        needed = self._num_bytes / self._num_pixels * self._num_pixels_left
        free = shutil.disk_usage(self._out).free
        if needed > free:
            raise ConfigError(
                f"{self._out}: the other copies need about {needed / _GIB:.1f} GiB, but {free / _GIB:.1f} GiB are "
                "free; free some, or name a folder on another disk"
            )


def _num_pixels(video: Video) -> int:
    return video.num_frames * video.height * video.width


def _spread(videos: Sequence[Video]) -> list[Video]:
    """Put a sample in front that is spread over all videos, since those of one class stand side by side."""
    sample = videos[:: max(1, len(videos) // _NUM_SAMPLED)][:_NUM_SAMPLED]
    keys = {video.key for video in sample}
    return [*sample, *(video for video in videos if video.key not in keys)]


def _is_finished(video: Video, kind: CopyKind, place: Path, manifest: Manifest) -> bool:
    """Whether there is the copy that was noted, of this source as it is now, and with these settings."""
    record = manifest.find(video.key)
    return (
        record.get("settings") == settings_of(video, kind)
        and record.get("source") == state_of(video.path)
        and record.get("copy") == size_of(place)
        and "rule" in record
    )


def _find_wrong_copies(
    videos: Sequence[Video], places: dict[str, Path], manifest: Manifest, num_processes: int, show_progress: bool
) -> dict[str, str]:
    """Build the frame tables of the copies in their places, and return what is wrong with some of them, by key."""
    copies = [dataclasses.replace(video, path=places[video.key]) for video in videos]
    report = build_tables(copies, num_processes, show_progress)
    wrong = report.bad | {
        key: f"video {key}: its copy {places[key]} has not the annotated number of frames; run this again"
        for key, rule in report.rules.items()
        if rule != "order"
    }
    for key in wrong:
        manifest.add({"key": key})  # the next run makes it anew
    return wrong


def _with_copy(video: Video, places: dict[str, Path]) -> Video:
    """Return a video whose frames are those of its copy."""
    # Resolved, since `..` behind a link would lead elsewhere.
    masks, keypoints = (None if path is None else path.resolve() for path in (video.masks_path, video.keypoints_path))
    return dataclasses.replace(video, path=places[video.key], masks_path=masks, keypoints_path=keypoints)


def _write_annotations(annotations: Annotations, out: Path) -> None:
    """Write the annotations as a whole or not at all."""
    partial = out / f"{ANNOTATIONS_FILE}.partial"
    with writing_to(out):
        write_tubes_json(annotations, partial)
        os.replace(partial, out / ANNOTATIONS_FILE)
