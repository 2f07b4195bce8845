"""What is corrected, what is left alone, and that a corrected file passes."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stal.checks.check import check_data, data_of_json
from stal.checks.fix import Fix, fix_table, write_fix
from stal.checks.opening import VideoRecord
from stal.checks.report import CheckReport
from stal.data.formats.tubes_json import read_tubes_json
from stal.errors import AnnotationError, ConfigError

Document = dict[str, Any]
Save = Callable[..., Path]


def tubes_of(document: Document) -> list[Document]:
    return [tube for video in document["videos"] for tube in video["tubes"]]


def checked(path: Path, **seen: Any) -> CheckReport:
    """Check a data set as if its videos had been opened: all are as annotated, but the first, of which `seen` tells."""
    report = check_data(data_of_json(path), decode=False)
    records = [
        VideoRecord(True, True, video.num_frames, height=video.height, width=video.width, rule="order")
        for video in report.table.videos
    ]
    return replace(report, records=[replace(records[0], **seen), *records[1:]])


def fix_file(path: Path, out: Path) -> Fix:
    fix = fix_table(checked(path))
    write_fix(fix, path, out)
    return fix


def shift_frames(document: Document) -> None:
    for tube in tubes_of(document):
        tube["frames"] = [[1, 21]]


def normalise(document: Document) -> None:
    for tube in tubes_of(document):
        tube["boxes"] = (np.array(tube["boxes"]) / [320, 240, 320, 240]).tolist()


def both(document: Document) -> None:
    shift_frames(document)
    normalise(document)


@pytest.mark.parametrize("break_it", [shift_frames, normalise, both])
def test_a_wrong_base_or_unit_of_the_whole_file_is_undone(
    document: Document, save: Save, tmp_path: Path, break_it: Callable[[Document], None]
) -> None:
    before = read_tubes_json(save(document))
    break_it(document)
    fix_file(save(document), tmp_path / "fixed.json")
    after = read_tubes_json(tmp_path / "fixed.json")
    for one, other in zip(before.videos, after.videos, strict=True):
        assert (one.key, one.split) == (other.key, other.split)
        assert one.path.resolve() == other.path.resolve()
        np.testing.assert_array_equal(one.tubes[0].frames, other.tubes[0].frames)
        np.testing.assert_allclose(one.tubes[0].boxes, other.tubes[0].boxes, atol=1e-4)


def change_first(**changes: Any) -> Callable[[Document], None]:
    return lambda document: tubes_of(document)[0].update(changes)


SAFE: list[tuple[str, Callable[[Document], Any], list[str]]] = [
    ("outside", change_first(boxes=[[-5, 9, 99, 99]] * 20), ["20 boxes: cut to the image"]),
    (
        "empty",
        lambda d: tubes_of(d)[0]["boxes"].__setitem__(3, [9, 9, 9, 9]),
        ["1 boxes: left out, empty, or outside of the image"],
    ),
    (
        "a tube of nothing else",
        change_first(frames=[[0, 1]], boxes=[[400, 9, 500, 99]]),
        ["1 boxes: left out, empty, or outside of the image", "1 tubes: left out, without a box"],
    ),
    ("too long by two", change_first(frames=[[2, 22]]), ["2 boxes: left out, behind the last frame of their video"]),
    (
        "not finite",
        lambda d: tubes_of(d)[0]["boxes"].__setitem__(3, [9, 9, float("inf"), 99]),
        ["1 boxes: left out, empty, or outside of the image"],
    ),
    ("without boxes", change_first(frames=[], boxes=[]), ["1 tubes: left out, without a box"]),
]


@pytest.mark.parametrize(("break_it", "changes"), [case[1:] for case in SAFE], ids=[case[0] for case in SAFE])
def test_what_is_safe_is_corrected_and_counted_and_passes(
    document: Document, save: Save, tmp_path: Path, break_it: Callable[[Document], Any], changes: list[str]
) -> None:
    break_it(document)
    path = save(document)
    content = path.read_bytes()
    fix = fix_file(path, tmp_path / "fixed.json")
    assert list(fix.changes) == changes
    assert path.read_bytes() == content
    report = checked(tmp_path / "fixed.json")
    assert not report.has_errors
    assert fix_table(report).changes == ()


def map_boxes(function: Callable[[np.ndarray], list[Any]]) -> Callable[[Document], None]:
    """Write all boxes in another way, given as a function of x1, y1, x2, y2."""

    def change(document: Document) -> None:
        for tube in tubes_of(document):
            tube["boxes"] = np.stack(function(np.array(tube["boxes"]).T), axis=1).tolist()

    return change


def xywh(b: np.ndarray) -> list[Any]:
    return [b[0], b[1], b[2] - b[0], b[3] - b[1]]


def cxcywh(b: np.ndarray) -> list[Any]:
    return [(b[0] + b[2]) / 2, (b[1] + b[3]) / 2, b[2] - b[0], b[3] - b[1]]


def one_early_end(document: Document) -> None:
    """Frames from 1, and one tube too long by two, so that not all is explained by the first number."""
    shift_frames(document)
    tubes_of(document)[0]["frames"] = [[2, 22]]


def one_normalised(document: Document) -> None:
    tubes_of(document)[0]["boxes"] = [[0.1, 0.1, 0.5, 0.5]] * 20
    tubes_of(document)[1]["boxes"] = [[-5, 9, 99, 99]] * 20


@pytest.mark.parametrize(
    "break_it",
    [
        map_boxes(xywh),
        map_boxes(cxcywh),
        map_boxes(lambda b: [b[2], b[3], b[0], b[1]]),
        map_boxes(lambda b: [value / size for value, size in zip(xywh(b), [320, 240] * 2, strict=True)]),
        map_boxes(lambda b: [2 * value for value in b]),
        change_first(boxes=[[9, 9, 9, 99]] * 20),
        one_normalised,
        one_early_end,
        change_first(frames=[[3, 23]]),
        change_first(label="Bikin"),
        change_first(frames=[[-1, 19]]),
    ],
    ids=[
        "xywh",
        "cxcywh",
        "corners exchanged",
        "xywh as shares",
        "of videos twice as large",
        "many empty boxes",
        "normalised in part",
        "perhaps 1-based",
        "too long by three",
        "unknown class",
        "negative frames",
    ],
)
def test_what_has_several_explanations_is_left_alone(
    document: Document, save: Save, break_it: Callable[[Document], None]
) -> None:
    break_it(document)
    report = checked(save(document))
    assert report.has_errors
    assert fix_table(report).changes == ()


def one_too_long(document: Document) -> None:
    tubes_of(document)[0]["frames"] = [[2, 22]]


def one_outside(document: Document) -> None:
    tubes_of(document)[0]["boxes"][0] = [-5, 9, 99, 99]


UNKNOWN = {"num_decoded": None, "height": None, "width": None, "rule": None}


@pytest.mark.parametrize(
    ("break_it", "seen"),
    [
        (shift_frames, {"rule": None, "num_decoded": 21}),
        (shift_frames, UNKNOWN),
        (one_too_long, {"rule": None, "num_decoded": 21}),
        (one_too_long, UNKNOWN),
        (one_outside, {"width": 640}),
        (one_outside, UNKNOWN),
        (normalise, {"width": 640}),
        (normalise, UNKNOWN),
    ],
)
def test_what_videos_do_not_confirm_is_left_alone(
    document: Document, save: Save, break_it: Callable[[Document], None], seen: dict[str, Any]
) -> None:
    break_it(document)
    path = save(document)
    assert fix_table(checked(path)).changes
    assert fix_table(checked(path, **seen)).changes == ()


def test_a_file_that_stays_invalid_is_not_written(document: Document, save: Save, tmp_path: Path) -> None:
    change_first(label="Bikin")(document)
    tubes_of(document)[1]["boxes"] = [[-5, 9, 99, 99]] * 20
    with pytest.raises(AnnotationError, match="cannot be corrected without a decision of yours"):
        fix_file(save(document), tmp_path / "fixed.json")
    assert not (tmp_path / "fixed.json").exists()


def test_nothing_is_corrected_in_place_or_written_over(document: Document, save: Save, tmp_path: Path) -> None:
    change_first(boxes=[[-5, 9, 99, 99]] * 20)(document)
    path = save(document)
    (tmp_path / "there.json").write_text("mine")
    for out in (path, tmp_path / "there.json"):
        with pytest.raises(ConfigError, match="nothing is corrected in place"):
            fix_file(path, out)
    assert json.loads(path.read_text()) == document
    assert (tmp_path / "there.json").read_text() == "mine"


def test_paths_of_a_corrected_file_elsewhere_name_the_same_videos(
    document: Document, save: Save, tmp_path: Path
) -> None:
    change_first(boxes=[[-5, 9, 99, 99]] * 20)(document)
    fix_file(save(document), tmp_path / "deep" / "er" / "fixed.json")
    fixed = read_tubes_json(tmp_path / "deep" / "er" / "fixed.json")
    assert all(video.path.is_file() for video in fixed.videos)
