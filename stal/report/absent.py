"""What a report lacks, and the commands that make it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from stal.report.work_dir import WorkDir


@dataclass(frozen=True)
class Absent:
    """A part of the report that one detector lacks.

    Attributes:
        section: of the page: `numbers`, `clips`, `scene-shift` or `training`.
        detector: name of the detector.
        what: what is not there.
        command: what makes it; empty if no command does.
    """

    section: str
    detector: str
    what: str
    command: str = ""


def find_absent(
    sides: Sequence[WorkDir],
    *,
    scored: Collection[str],
    shifts: Collection[str],
    drops: Collection[str],
    curves: Collection[str],
    num_clips: int,
) -> list[Absent]:
    """Return what the report of some detectors lacks.

    Args:
        sides: the detectors.
        scored: names of those with detections.
        shifts: names of those that were tested on several sets.
        drops: names of those with detections on other scenes.
        curves: names of those with a log of their training.
        num_clips: detections that were to be shown of each kind.
    """
    absent = []
    for side in sides:
        name, folder = side.name, side.folder
        if name not in scored:
            what = f"{folder} has no detections.npz, so that there are no plots and no intervals of its own"
            absent.append(Absent("numbers", name, what, side.test_command()))
        if num_clips == 0:
            absent.append(Absent("clips", name, "no clip was asked for: --num-clips 0"))
        elif name not in scored:
            absent.append(Absent("clips", name, f"{folder} has no detections.npz to choose from", side.test_command()))
        elif side.checkpoint is None:
            what = f"{folder} has no checkpoint, whose gradients could be shown"
            absent.append(Absent("clips", name, what, side.train_command()))
        if name not in shifts:
            what = (
                f"{folder} has no scene_shift.json; for OTHER_SETS, name splits of the data or folders that "
                "tools/make_scene_shift.py made"
            )
            absent.append(Absent("scene-shift", name, what, side.test_command(side.own_set, "OTHER_SETS")))
        elif name not in drops:
            what = (
                f"{folder} has no detections_SET.npz of videos that show the actors of {side.own_set} on other scenes, "
                "so that it is not known how far each score falls there"
            )
            sets = (side.scene_shift() or {}).get("sets", {})
            absent.append(Absent("scene-shift", name, what, side.test_command(*sets)))
        if name not in curves:
            what = f"{folder} has no log of a training, */vis_data/scalars.json"
            absent.append(Absent("training", name, what, side.train_command()))
    return absent
