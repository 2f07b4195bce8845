"""Each trap alone gives its finding and no other; a data set without a fault gives none."""

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stal.checks.check import check_data, data_of_annotations, data_of_json
from stal.checks.outputs import write_report
from stal.checks.report import CheckReport
from stal.data.formats.tubes_json import read_tubes_json

Document = dict[str, Any]
Check = Callable[[Any], CheckReport]
Save = Callable[..., Path]


def codes(report: CheckReport) -> dict[str, str]:
    """The levels of what was found, by their codes."""
    assert len({finding.code for finding in report.findings}) == len(report.findings)
    return {finding.code: finding.level for finding in report.findings}


def tubes_of(document: Document) -> list[Document]:
    return [tube for video in document["videos"] for tube in video["tubes"]]


def map_boxes(document: Document, function: Callable[[np.ndarray], Any]) -> None:
    for tube in tubes_of(document):
        tube["boxes"] = [np.asarray(function(np.array(box))).tolist() for box in tube["boxes"]]


def first(document: Document) -> Document:
    return document["videos"][0]["tubes"][0]


def add_tube(document: Document, **changes: Any) -> Document:
    """Give the first video a second actor, elsewhere in the image."""
    tube = copy.deepcopy(first(document)) | {"id": 1, "boxes": [[9, 9, 99, 99]] * 20} | changes
    document["videos"][0]["tubes"].append(tube)
    return tube


# labels


def labels_one_too_high(document: Document) -> None:
    classes = document["classes"]
    document["videos"] = document["videos"][:-2]  # the last class would not be in the list any more
    for tube in tubes_of(document):
        tube["label"] = classes[classes.index(tube["label"]) + 1]


def numbers_from(start: int) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        for tube in tubes_of(document):
            tube["label"] = start + document["classes"].index(tube["label"])

    return change


def labels_turned_by_two(document: Document) -> None:
    for tube in tubes_of(document):
        tube["label"] = document["classes"][(document["classes"].index(tube["label"]) + 2) % 4]


def drop_split(label: str, split: str | None) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        document["videos"] = [
            video
            for video in document["videos"]
            if video["tubes"][0]["label"] != label or (split is not None and video["split"] != split)
        ]

    return change


# frames


def shift_frames(document: Document) -> None:
    for tube in tubes_of(document):
        tube["frames"] = [[start + 1, stop + 1] for start, stop in tube["frames"]]


def start_at_frame_1(document: Document) -> None:
    for tube in tubes_of(document):
        tube.update(frames=[[1, 20]], boxes=tube["boxes"][:19])


def start_at_frame_2(document: Document) -> None:
    for tube in tubes_of(document):
        tube.update(frames=[[2, 21]], boxes=tube["boxes"][:19])


def innocent_frames(document: Document) -> None:
    for tube in tubes_of(document):
        tube.update(frames=[[5, 15]], boxes=tube["boxes"][:10])
    tubes_of(document)[1]["frames"] = [[1, 11]]
    tubes_of(document)[2]["frames"] = [[11, 21]]


def only_video_1_based(document: Document) -> None:
    document["videos"], document["classes"] = document["videos"][:1], document["classes"][:1]
    shift_frames(document)


# boxes


def one_in_ten_outside(document: Document) -> None:
    for tube in tubes_of(document):
        for box in tube["boxes"][::10]:
            box[0] -= 250


# files


def same_path(split: str) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        document["videos"][4].update(path=document["videos"][0]["path"], split=split)
        document["videos"][5]["split"] = "train" if split == "test" else "test"

    return change


def rename_splits(train: str, test: str) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        for video in document["videos"]:
            video["split"] = {"train": train, "test": test}[video["split"]]

    return change


def add_masks(document: Document, number: int) -> None:
    document["videos"][0]["masks"] = "masks/a.npz"
    first(document)["id"] = number


def two_actors_alike(document: Document) -> None:
    add_tube(document, boxes=copy.deepcopy(first(document)["boxes"]))


TRAPS: list[tuple[str, Callable[[Document], Any], dict[str, str]]] = [
    ("nothing", lambda d: None, {}),
    ("a second actor", add_tube, {}),
    ("labels read as if 0-based", labels_one_too_high, {"labels-1-based": "error"}),
    ("numbers from 1 for labels", numbers_from(1), {"labels-1-based": "error"}),
    ("numbers from 0 for labels", numbers_from(0), {"labels-numbered": "error"}),
    ("an unknown class", lambda d: add_tube(d, label="Bikin"), {"labels-unknown": "error"}),
    ("one tube of another class", lambda d: add_tube(d, label="Skiing"), {"labels-disagree": "warning"}),
    ("a list in another order", labels_turned_by_two, {"labels-disagree": "error"}),
    (
        "a class twice",
        lambda d: d["classes"].append("Biking"),
        {"classes-repeated": "error", "classes-unused": "warning"},
    ),
    ("a class too many", lambda d: d["classes"].append("Surfing"), {"classes-unused": "warning"}),
    ("no tube to train on", drop_split("Skiing", "train"), {"classes-untrained": "warning"}),
    ("no tube to test on", drop_split("Skiing", "test"), {"classes-untested": "warning"}),
    ("no tube of a class", drop_split("Skiing", None), {"classes-unused": "warning"}),
    ("1-based frames", shift_frames, {"frames-1-based": "error"}),
    ("1-based frames that were cut", start_at_frame_1, {"frames-perhaps-1-based": "warning"}),
    ("one tube from frame 1 on, and one too long", innocent_frames, {"frames-beyond-video": "error"}),
    ("1-based frames of one video", only_video_1_based, {"frames-1-based": "error"}),
    ("no frame before the third", start_at_frame_2, {"frames-beyond-video": "error"}),
    (
        "a tube longer than its video",
        lambda d: add_tube(d, frames=[[3, 23]]),
        {"frames-beyond-video": "error"},
    ),
    ("frames below 0", lambda d: add_tube(d, frames=[[-1, 19]]), {"frames-negative": "error"}),
    ("runs in the wrong order", lambda d: add_tube(d, frames=[[10, 20], [0, 10]]), {"frames-disordered": "error"}),
    ("a frame twice", lambda d: add_tube(d, frames=[[0, 10], [9, 19]]), {"frames-disordered": "error"}),
    ("shares of the image", lambda d: map_boxes(d, lambda b: b / [320, 240, 320, 240]), {"boxes-normalised": "error"}),
    (
        "shares of the image in one video",
        lambda d: first(d).update(boxes=[[0.1, 0.2, 0.3, 0.4]] * 20),
        {"boxes-normalised": "error"},
    ),
    ("xywh", lambda d: map_boxes(d, lambda b: [b[0], b[1], b[2] - b[0], b[3] - b[1]]), {"boxes-xywh": "error"}),
    (
        "centres",
        lambda d: map_boxes(d, lambda b: [(b[0] + b[2]) / 2 + 40, (b[1] + b[3]) / 2, b[2] - b[0], b[3] - b[1]]),
        {"boxes-cxcywh": "error"},
    ),
    ("corners exchanged", lambda d: map_boxes(d, lambda b: b[[2, 3, 0, 1]]), {"boxes-corners-exchanged": "error"}),
    (
        "xywh as shares",
        lambda d: map_boxes(d, lambda b: np.array([b[0], b[1], b[2] - b[0], b[3] - b[1]]) / [320, 240, 320, 240]),
        {"boxes-normalised": "error"},
    ),
    ("y before x", lambda d: map_boxes(d, lambda b: b[[1, 0, 3, 2]]), {"boxes-yx": "error"}),
    ("an empty box", lambda d: first(d)["boxes"].__setitem__(5, [9, 9, 9, 20]), {"boxes-empty": "error"}),
    ("a number that is none", lambda d: first(d)["boxes"][5].__setitem__(1, math.nan), {"boxes-not-finite": "error"}),
    ("an infinite box", lambda d: first(d)["boxes"][5].__setitem__(2, math.inf), {"boxes-not-finite": "error"}),
    ("a number too large", lambda d: first(d)["boxes"][5].__setitem__(0, -(10**400)), {"boxes-not-finite": "error"}),
    ("a box of zeros", lambda d: add_tube(d, boxes=[[0, 0, 0, 0]] * 20), {"boxes-empty": "error"}),
    ("a box that leaves the image", lambda d: first(d)["boxes"][5].__setitem__(2, 330), {"boxes-outside": "warning"}),
    ("boxes that often leave it", one_in_ten_outside, {"boxes-outside": "warning"}),
    ("a box beyond the image", lambda d: add_tube(d, boxes=[[330, 9, 400, 99]] * 20), {"boxes-off-image": "error"}),
    (
        "a jump",
        lambda d: add_tube(d, boxes=[[9, 9, 99, 99]] * 10 + [[120, 120, 180, 180]] * 10),
        {"tubes-jump": "warning"},
    ),
    (
        "a jump over a gap",
        lambda d: add_tube(d, frames=[[0, 10], [11, 20]], boxes=[[9, 9, 99, 99]] * 10 + [[120, 120, 180, 180]] * 9),
        {},
    ),
    ("a tube twice", two_actors_alike, {"tubes-duplicated": "warning", "self-score": "warning"}),
    ("an id twice", lambda d: add_tube(d, id=0), {"ids-repeated": "error"}),
    ("a tube without boxes", lambda d: add_tube(d, frames=[], boxes=[]), {"tubes-empty": "error"}),
    ("no tubes", lambda d: [video.update(tubes=[]) for video in d["videos"]], {"no-tubes": "error"}),
    ("no videos", lambda d: d.update(videos=[]), {"no-videos": "error"}),
    ("no classes", lambda d: d.update(classes=[]), {"no-classes": "error"}),
    ("nothing", lambda d: d.update(classes=[], videos=[]), {"no-videos": "error", "no-classes": "error"}),
    (
        "a video without tubes",
        lambda d: d["videos"].append(d["videos"][0] | {"key": "b", "path": "videos/b.avi", "tubes": []}),
        {"videos-without-tubes": "warning"},
    ),
    ("a length of 0", lambda d: d["videos"][0].update(num_frames=0), {"video-facts": "error"}),
    ("a height of 0", lambda d: d["videos"][0].update(height=0), {"video-facts": "error"}),
    (
        "a key twice",
        lambda d: d["videos"].append(copy.deepcopy(d["videos"][0]) | {"path": "videos/b.avi"}),
        {"keys-repeated": "error"},
    ),
    (
        "a group in both splits",
        lambda d: d["videos"][1].update(key="Biking/v_Biking_g01_c02"),
        {"leak-groups": "error"},
    ),
    ("a file to train and to test on", same_path("test"), {"leak-paths": "error"}),
    ("splits without a name", rename_splits("", ""), {"split-missing": "error"}),
    ("a typo", rename_splits("Train", "test"), {"split-missing": "error"}),
    ("nothing to train on", rename_splits("val", "test"), {"split-missing": "warning"}),
    ("ids that silhouettes cannot hold", lambda d: add_masks(d, 254), {"ids-beyond-masks": "error"}),
    ("the largest id that they can hold", lambda d: add_masks(d, 253), {}),
    ("a large id without silhouettes", lambda d: first(d).update(id=2**40), {}),
    ("a file twice", same_path("train"), {"paths-repeated": "warning"}),
    ("a key that is missing", lambda d: d["videos"][0].pop("height"), {"unreadable": "error"}),
    ("a key too many", lambda d: d["videos"][0].update(colour=1), {"unreadable": "error"}),
    ("fewer boxes than frames", lambda d: first(d)["boxes"].pop(), {"unreadable": "error"}),
    ("a text for a number", lambda d: d["videos"][0].update(height="240"), {"unreadable": "error"}),
    ("an infinite run", lambda d: add_tube(d, frames=[[0, 2**52]]), {"unreadable": "error"}),
]


@pytest.mark.parametrize(("break_it", "expected"), [trap[1:] for trap in TRAPS], ids=[trap[0] for trap in TRAPS])
def test_each_trap_gives_its_finding_and_no_other(
    document: Document, check: Check, break_it: Callable[[Document], Any], expected: dict[str, str]
) -> None:
    break_it(document)
    report = check(document)
    assert codes(report) == expected
    assert report.has_errors == ("error" in expected.values())
    for finding in report.findings:
        assert finding.what
        assert finding.remedy


def test_a_config_s_annotations_are_checked_as_their_file_is(document: Document, save: Save) -> None:
    one_in_ten_outside(document)
    path = save(document)
    of_file = check_data(data_of_json(path), decode=False)
    of_structures = check_data(data_of_annotations(read_tubes_json(path), str(path)), decode=False)
    assert of_structures.findings == of_file.findings
    assert of_structures.describe() == of_file.describe()


def test_findings_count_and_name_the_first_places(document: Document, check: Check) -> None:
    first(document)["boxes"][5:8] = [[9, 9, 9, 20]] * 3
    (finding,) = check(document).findings
    assert "3 of 160 boxes, in 1 of 8 videos" in finding.what
    example = finding.examples[0]
    assert (example.video, example.tube, example.frame) == ("Biking/v_Biking_g01_c01", 0, 5)
    assert example.value == "[9, 9, 9, 20] of 320 x 240"
    assert len(finding.examples) == 3


def test_a_box_that_is_not_finite_hides_nothing(document: Document, save: Save, check: Check, tmp_path: Path) -> None:
    first(document)["boxes"][5] = [math.nan, math.inf, -math.inf, 1e300]
    first(document)["boxes"][7] = [9, 9, 9, 20]
    add_tube(document, label="Bikin")
    report = check(document)
    assert codes(report) == {"boxes-not-finite": "error", "boxes-empty": "error", "labels-unknown": "error"}
    assert "[nan, inf, -inf, inf]" in report.findings[1].examples[0].value
    write_report(report, tmp_path / "out")


def test_all_readings_of_boxes_that_fit_are_said(document: Document, check: Check) -> None:
    map_boxes(document, lambda b: [150, 110, 30, 50])
    (finding,) = [finding for finding in check(document).findings if finding.level == "error"]
    assert finding.code == "boxes-xywh"
    assert "x2, y2, x1, y1" in finding.what
    assert "centre x, centre y, width, height" in finding.what


def test_errors_come_first(document: Document, check: Check) -> None:
    one_in_ten_outside(document)
    document["classes"].append("Surfing")
    add_tube(document, label="Bikin")
    assert [finding.level for finding in check(document).findings] == ["error", "warning", "warning"]


def test_by_how_much_boxes_leave_the_image_is_said(document: Document, check: Check) -> None:
    first(document)["boxes"][5][2] = 330
    first(document)["boxes"][6][2] = 322.5
    (finding,) = check(document).findings
    assert (
        "2 of 160 boxes, in 1 of 8 videos: partly outside of the image, by 6.25 pixels in the median and 10 at most"
        in (finding.what)
    )


def test_a_first_class_that_alone_is_unused_hints_at_labels_from_1(document: Document, check: Check) -> None:
    document["videos"] = document["videos"][2:]
    (finding,) = check(document).findings
    assert finding.code == "classes-unused"
    assert "start at 1" in finding.remedy


@pytest.mark.parametrize(
    ("name", "content"), [("copy.avi", "leak-files"), ("other.avi", None)], ids=["same bytes", "other bytes"]
)
def test_copies_of_a_file_leak_whatever_they_are_called(
    document: Document, save: Save, tmp_path: Path, name: str, content: str | None
) -> None:
    path = save(document)
    one, other = (tmp_path / document["videos"][i]["path"] for i in (0, 1))
    other.write_text(one.read_text() if content else one.read_text()[::-1])
    assert codes(check_data(data_of_json(path), decode=False)) == ({content: "error"} if content else {})


def test_folders_of_frames_are_compared_by_their_images(document: Document, save: Save, tmp_path: Path) -> None:
    for number, video in enumerate(document["videos"]):
        video["path"] = f"frames/{number}"
    folder = tmp_path / "frames"
    for number in range(8):
        (folder / str(number)).mkdir(parents=True)
        (folder / str(number) / "00001.jpg").write_text("same" if number < 2 else f"no {number}")
    path = tmp_path / "tubes.json"
    path.write_text(json.dumps(document))
    assert codes(check_data(data_of_json(path), decode=False)) == {"leak-files": "error"}


def test_missing_and_unnamed_files_are_found(document: Document, save: Save, tmp_path: Path) -> None:
    path = save(document)
    video = tmp_path / document["videos"][0]["path"]
    video.rename(video.with_name("v_biking_g01_c01.avi"))
    report = check_data(data_of_json(path), decode=False)
    assert codes(report) == {"files-missing": "error", "files-unnamed": "warning"}
    assert "v_biking_g01_c01.avi" in report.findings[1].examples[0].value


def test_ground_truth_gets_100_against_itself(document: Document, check: Check) -> None:
    scores = check(document).self_score
    assert scores is not None
    assert list(scores.values()) == pytest.approx([100] * 5)


def test_an_annotation_that_the_structures_refuse_is_not_scored(document: Document, check: Check) -> None:
    shift_frames(document)
    assert check(document).self_score is None
