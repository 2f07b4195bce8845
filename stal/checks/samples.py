"""Sample frames with their boxes: of every class, and of what was found."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8

from stal.checks.annotation_table import AnnotationTable
from stal.checks.finding import Finding
from stal.checks.opening import VideoRecord
from stal.checks.report import CheckReport
from stal.data.video.reader import read_frames
from stal.errors import StalError
from stal.visualize.drawing import colour, draw_outlined_boxes, fit_scale, resize

MAX_FOUND = 24
_PER_FINDING = 3
_FEW_CLASSES = 12  # of which two tubes are shown each, else one
_MIN_WIDTH, _MAX_WIDTH = 320, 480
_FAR_PIXELS = 10_000  # boxes farther outside are drawn as if they ended there
_JPEG_QUALITY = 82


@dataclass(frozen=True)
class Sample:
    """A frame to look at.

    Attributes:
        video: position of its video.
        frame: 0-based frame as it is annotated, perhaps one that the video does not have.
        why: what it is an example of.
    """

    video: int
    frame: int
    why: str


@dataclass(frozen=True, eq=False)
class Picture:
    """A sample with its boxes drawn in.

    Attributes:
        sample: what it shows.
        jpeg: the picture as a file.
        actors: for each box, its colour and the class and id of its tube.
        note: what is special about it; empty if nothing is.
    """

    sample: Sample
    jpeg: bytes
    actors: tuple[tuple[tuple[int, int, int], str], ...]
    note: str = ""


def choose_samples(report: CheckReport) -> tuple[list[Sample], list[Sample]]:
    """Return examples of what was found, and first and last frames of tubes of every class, of readable videos."""
    readable = [record.num_decoded is not None for record in report.records]
    findings = [finding for finding in report.findings if finding.level != "note"]
    found = [sample for finding in findings for sample in _of_finding(report.table, finding, readable)]
    return found[:MAX_FOUND], _of_classes(report.table, readable)


def _of_finding(table: AnnotationTable, finding: Finding, readable: Sequence[bool]) -> Iterator[Sample]:
    number = {video.key: v for v, video in reversed(list(enumerate(table.videos)))}
    for example in finding.examples[:_PER_FINDING]:
        v = number.get(example.video)
        if v is not None and readable[v]:
            frame = _first_frame(table, v, example.tube) if example.frame is None else example.frame
            yield Sample(v, frame, finding.code)


def _first_frame(table: AnnotationTable, video: int, tube_id: int | None) -> int:
    """Return the first annotated frame of a tube or a video, 0 if there is none."""
    rows = np.flatnonzero(table.video_of_row == video)
    if tube_id is not None:
        rows = rows[table.tube_ids[table.tube_of_row[rows]] == tube_id]
    return int(table.frames[rows[0]]) if len(rows) else 0


def _of_classes(table: AnnotationTable, readable: Sequence[bool]) -> list[Sample]:
    is_readable = np.array(readable, bool)[table.tube_videos]
    num_wanted = 2 if len(np.unique(table.tube_labels[is_readable])) <= _FEW_CLASSES else 1
    samples = []
    for label, name in enumerate(table.classes):
        tubes = np.flatnonzero((table.tube_labels == label) & is_readable)
        _, first = np.unique(table.tube_videos[tubes], return_index=True)  # one tube of each video
        tubes = tubes[first]
        for tube in tubes[np.linspace(0, len(tubes) - 1, min(num_wanted, len(tubes))).astype(int)]:
            frames = table.frames[table.tube_of_row == tube].tolist()
            for end, frame in (("first", frames[:1]), ("last", frames[-1:])):
                samples += [Sample(int(table.tube_videos[tube]), number, f"{name}, {end} frame") for number in frame]
    return samples


def draw_samples(report: CheckReport, samples: Sequence[Sample]) -> list[Picture]:
    """Decode samples, each video once, and draw their boxes; those that cannot be decoded are left out."""
    by_video: dict[int, list[Sample]] = {}
    for sample in samples:
        by_video.setdefault(sample.video, []).append(sample)
    frames: dict[Sample, np.ndarray] = {}
    for v, own in by_video.items():
        frames |= _read(report.table, report.records[v], v, own)
    return [_draw(report.table, sample, frames[sample]) for sample in samples if sample in frames]


def _read(
    table: AnnotationTable, record: VideoRecord, v: int, samples: Sequence[Sample]
) -> Mapping[Sample, UInt8[np.ndarray, "H W 3"]]:
    """Read the frames of a video, or the nearest where there are none, by its mapping rule if one applies."""
    video = table.videos[v]
    num_frames = video.num_frames if record.rule is not None else None
    last = (num_frames or record.num_decoded or 1) - 1
    wanted = np.array([sample.frame for sample in samples], np.int64).clip(0, last)
    try:
        return dict(zip(samples, read_frames(video.path, wanted, num_frames=num_frames), strict=True))
    except (
        StalError,
        OSError,
    ):  # it can be opened, which is what the check says; a page without this picture is still of use
        return {}


def _draw(table: AnnotationTable, sample: Sample, frame: UInt8[np.ndarray, "H W 3"]) -> Picture:
    scale = fit_scale(frame.shape[1], _MIN_WIDTH, _MAX_WIDTH)
    drawn = resize(frame[None], scale)
    rows = np.flatnonzero((table.video_of_row == sample.video) & (table.frames == sample.frame) & table.is_finite)
    actors = []
    for row in rows.tolist():
        tube = table.tube_of_row[row]
        number = int(tube - np.searchsorted(table.tube_videos, sample.video))
        box = (table.boxes[row].astype(np.float64) * scale).clip(-_FAR_PIXELS, _FAR_PIXELS)[None]
        drawn = draw_outlined_boxes(drawn, box, colour(number))
        actors.append((colour(number), f"{table.label_names[tube]} #{table.tube_ids[tube]}"))
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(drawn[0], cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    num_frames = table.videos[sample.video].num_frames
    note = "" if 0 <= sample.frame < num_frames else f"no such frame, of {num_frames}: the nearest is shown"
    return Picture(sample, jpeg.tobytes(), tuple(actors), note)
