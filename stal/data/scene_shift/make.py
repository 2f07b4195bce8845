"""Making a scene-shifted set of a data set: its videos with their tubes unchanged, on scenes that are not theirs."""

import contextlib
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, get_args

from stal.data.formats.tubes_json import write_tubes_json
from stal.data.prepare.places import choose_places
from stal.data.processes import ProcessDeath, run_with_progress
from stal.data.scene_shift.donors import choose_donors, scene_name
from stal.data.scene_shift.kinds import DONOR_KINDS, Kind, MaskKind
from stal.data.scene_shift.manifest import ANNOTATIONS_FILE, VIDEO_FOLDER, clear_folder, write_manifest
from stal.data.scene_shift.one_video import ShiftJob, ShiftOutcome, make_video
from stal.errors import ConfigError, DataNotFoundError, VideoReadError
from stal.structures import Annotations, Video


@dataclass(frozen=True)
class ShiftedSet:
    """A set that was made.

    Attributes:
        annotations_file: of its videos.
        annotations: what was written there.
        skipped: why there is no video, by the key of those that could not be made.
    """

    annotations_file: Path
    annotations: Annotations
    skipped: dict[str, str]


def make_scene_shift(
    annotations: Annotations,
    out: str | Path,
    kind: Kind,
    *,
    mask: MaskKind = "box",
    seed: int = 0,
    num_processes: int = 1,
    overwrite: bool = False,
    show_progress: bool = False,
) -> ShiftedSet:
    """Write videos to `OUT/videos`, and when all are made `OUT/annotations.json` and `OUT/manifest.json`.

    Keys, splits, sizes, lengths and tubes stay as they are; `Video.scene` names the scene that is shown. A video
    depends on the arguments, on its sources and its key, but neither on the processes nor on the order of videos.

    Args:
        annotations: the data set; donors are taken from it too.
        out: a folder, empty or not there.
        kind: what to make.
        mask: by what actors are cut out and removed.
        seed: of all chance, not negative.
        num_processes: that make videos.
        overwrite: replace a shifted set that is in `out`.
        show_progress: show a bar on a terminal.

    Raises:
        ConfigError: an argument cannot work, or the folder is in use or cannot be written to.
        AnnotationError: a video has no donor, or keys cannot be names of files.
        DataNotFoundError: silhouettes were asked for, and a video has none.
        VideoReadError: not one video could be made.
    """
    _check_arguments(kind, mask, seed, num_processes)
    if mask == "silhouette":
        _check_silhouettes(annotations)
    out = Path(out).resolve()
    places = choose_places(annotations.videos, out, lambda key: PurePosixPath(VIDEO_FOLDER, f"{key}.mp4"))
    donors = choose_donors(annotations, seed, mask) if kind in DONOR_KINDS else {}
    clear_folder(out, overwrite)
    settings = {"kind": kind, "mask": mask, "seed": seed}
    write_manifest(out, {"is_complete": False} | settings)
    jobs = [ShiftJob(video, donors.get(video.key), kind, mask, seed, places[video.key]) for video in annotations.videos]
    outcomes = _make_videos(jobs, num_processes, show_progress)
    made = [(job, outcome) for job in jobs if (outcome := outcomes[job.video.key]).failure is None]
    skipped = {key: outcomes[key].failure or "" for key in places if outcomes[key].failure is not None}
    if not made:
        raise VideoReadError(
            f"{out}: not one of {len(jobs)} videos could be made: {next(iter(skipped.values()), 'there is none')}"
        )
    videos = tuple(_shifted_video(job, annotations.classes) for job, _ in made)
    lists = {
        "videos": [_record(job, outcome, video) for (job, outcome), video in zip(made, videos, strict=True)],
        "skipped": [{"key": key, "reason": reason} for key, reason in skipped.items()],
    }
    write_manifest(out, {"is_complete": True} | settings | lists)
    shifted = dataclasses.replace(annotations, videos=videos)
    write_tubes_json(shifted, out / ANNOTATIONS_FILE)
    return ShiftedSet(out / ANNOTATIONS_FILE, shifted, skipped)


def _make_videos(jobs: Sequence[ShiftJob], num_processes: int, show_progress: bool) -> dict[str, ShiftOutcome]:
    """Make all videos, and return what came of each, by its key."""
    outcomes = {}
    with contextlib.closing(run_with_progress(make_video, jobs, num_processes, "Videos", show_progress)) as results:
        for job, outcome in results:
            key = job.video.key
            if isinstance(outcome, ProcessDeath):
                job.path.unlink(missing_ok=True)
                outcome = ShiftOutcome(failure=f"video {key}: {outcome} while the video was made")
            outcomes[key] = outcome
    return outcomes


def _check_arguments(kind: str, mask: str, seed: int, num_processes: int) -> None:
    if kind not in get_args(Kind):
        raise ConfigError(f"kind {kind!r}: choose one of {', '.join(get_args(Kind))}")
    if mask not in get_args(MaskKind):
        raise ConfigError(f"mask {mask!r}: choose one of {', '.join(get_args(MaskKind))}")
    if seed < 0:
        raise ConfigError(f"seed {seed}: must not be negative")
    if num_processes < 1:
        raise ConfigError(f"{num_processes} processes: at least 1 works")


def _check_silhouettes(annotations: Annotations) -> None:
    """Raise if a video has no silhouettes, before anything slow is begun."""
    for video in annotations.videos:
        if video.masks_path is None:
            raise DataNotFoundError(f"video {video.key} has no silhouettes; cut by boxes (--mask box)")
        if not video.masks_path.is_file():
            raise DataNotFoundError(f"{video.masks_path}: the silhouettes of video {video.key} are not there")


def _shifted_video(job: ShiftJob, classes: tuple[str, ...]) -> Video:
    """Return the annotation of a video that was made; silhouettes and joints are the source's, whose actors it has."""
    video = job.video
    # Resolved, since `..` behind a link would lead elsewhere.
    masks, keypoints = (
        None if path is None or job.kind == "scene_only" else path.resolve()
        for path in (video.masks_path, video.keypoints_path)
    )
    shows_a_scene = job.donor is not None or job.kind == "scene_only"
    scene = scene_name(job.donor or video, classes) if shows_a_scene else None
    return dataclasses.replace(video, path=job.path, masks_path=masks, scene=scene, keypoints_path=keypoints)


def _record(job: ShiftJob, outcome: ShiftOutcome, video: Video) -> dict[str, Any]:
    donor = None
    if job.donor is not None:
        donor = {"key": job.donor.key, "path": str(job.donor.path), "sha256": outcome.donor_sha256}
    return {
        "key": video.key,
        "num_frames": video.num_frames,
        "scene": video.scene,
        "source": {"path": str(job.video.path), "sha256": outcome.source_sha256},
        "donor": donor,
    }
