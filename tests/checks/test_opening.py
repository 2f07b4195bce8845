"""What is found when videos and silhouettes are opened."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stal.checks.annotation_table import table_of
from stal.checks.check import check_data, data_of_annotations, data_of_json
from stal.checks.files import check_files
from stal.checks.opening import VideoRecord
from stal.checks.report import CheckReport
from stal.data.formats.tubes_json import write_tubes_json
from stal.data.masks import UNKNOWN, read_masks
from stal.data.scenes.generate import generate
from stal.data.ucf24 import read_ucf24
from stal.data.video.reader import Indices
from stal.errors import ConfigError
from stal.structures import Annotations, Video


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Annotations:
    """Real videos of 96 x 72 pixels with silhouettes."""
    return generate(tmp_path_factory.mktemp("scenes"), 18, splits=("train", "iid"), width=96, height=72)


def codes(report: CheckReport) -> dict[str, str]:
    return {finding.code: finding.level for finding in report.findings}


def with_first(annotations: Annotations, change: Callable[[Video], Video]) -> Annotations:
    return replace(annotations, videos=(change(annotations.videos[0]), *annotations.videos[1:]))


def test_a_generated_data_set_has_no_fault(scenes: Annotations) -> None:
    report = check_data(data_of_annotations(scenes, "scenes"))
    assert report.findings == ()
    assert {record.rule for record in report.records} == {"order"}
    assert [record.num_decoded for record in report.records] == [video.num_frames for video in scenes.videos]
    assert report.describe_opened() == "all 27 videos were opened"


def garbage(video: Video, folder: Path) -> Video:
    path = folder / "garbage.mp4"
    path.write_text("no video")
    return replace(video, path=path)


@pytest.mark.parametrize(
    ("change", "expected", "said"),
    [
        (
            lambda video, _: replace(video, num_frames=video.num_frames + 2),
            {"frames-clamped": "warning"},
            "frames decode",
        ),
        (
            lambda video, _: replace(video, num_frames=video.num_frames + 20),
            {"frames-unexplained": "error"},
            "are annotated",
        ),
        (
            lambda video, _: replace(video, width=128),
            {"size-disagrees": "error"},
            "decodes to 96 x 72, annotated as 128 x 72",
        ),
        (
            lambda video, _: replace(video, width=72, height=96),
            {"size-disagrees": "error"},
            "annotated as 72 x 96: width and height are exchanged",
        ),
        (garbage, {"files-unreadable": "error"}, "garbage.mp4"),
    ],
    ids=["two frames short", "many frames short", "wider", "exchanged", "no video"],
)
def test_a_file_that_is_not_as_annotated_is_found(
    scenes: Annotations,
    tmp_path: Path,
    change: Callable[[Video, Path], Video],
    expected: dict[str, str],
    said: str,
) -> None:
    annotations = with_first(scenes, lambda video: replace(change(video, tmp_path), masks_path=None))
    report = check_data(data_of_annotations(annotations, "scenes"))
    found = codes(report)
    assert found.pop("files-unnamed", "warning") == "warning"  # the file whose place the garbage takes
    assert found == expected
    assert said in report.findings[0].examples[0].value
    assert report.findings[0].examples[0].video == scenes.videos[0].key


def test_a_size_from_before_a_rotation_is_explained(scenes: Annotations) -> None:
    table = table_of(Annotations(scenes.classes, scenes.videos[:1]))
    turned = VideoRecord(True, True, table.videos[0].num_frames, height=96, width=72, rotation=90, rule="order")
    (finding,) = [finding for finding in check_files(table, [turned]) if finding.code == "size-disagrees"]
    assert "as it was before it is turned by 90 degrees to be shown" in finding.examples[0].value


def test_only_some_videos_are_opened_if_asked_for(scenes: Annotations) -> None:
    report = check_data(data_of_annotations(scenes, "scenes"), max_videos=3)
    assert [v for v, record in enumerate(report.records) if record.is_opened] == [0, 13, 26]
    assert report.describe_opened() == "only 3 of 27 videos were opened"
    report = check_data(data_of_annotations(scenes, "scenes"), decode=False)
    assert report.describe_opened() == "no video was opened"


def test_processes_see_what_one_does(scenes: Annotations, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stal.checks.opening._VIDEOS_PER_PROCESS", 1)
    one, two = (check_data(data_of_annotations(scenes, "scenes"), num_processes=n) for n in (1, 2))
    assert one.describe() == two.describe()


@pytest.mark.parametrize("wrong", [{"max_videos": 0}, {"num_processes": 0}])
def test_numbers_below_1_are_refused(scenes: Annotations, wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="0: at least 1"):
        check_data(data_of_annotations(scenes, "scenes"), **wrong)


def move(masks: np.ndarray) -> np.ndarray:
    return np.roll(masks, 48, axis=2)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (move, {"silhouettes-astray": "warning"}),
        (lambda masks: masks * 3, {"silhouettes-astray": "warning"}),
        (lambda masks: masks[:-1], {"silhouettes-unreadable": "error"}),
        (lambda masks: masks * 0, {}),
        (lambda masks: np.full_like(masks, UNKNOWN), {}),
    ],
    ids=["elsewhere", "other ids", "too short", "nobody", "unknown"],
)
def test_silhouettes_are_compared_with_boxes(
    scenes: Annotations, tmp_path: Path, change: Callable[[np.ndarray], np.ndarray], expected: dict[str, str]
) -> None:
    def store(video: Video) -> Video:
        assert video.masks_path is not None
        with np.load(video.masks_path) as archive:
            np.savez_compressed(tmp_path / "masks.npz", masks=change(archive["masks"]))
        return replace(video, masks_path=tmp_path / "masks.npz")

    assert codes(check_data(data_of_annotations(with_first(scenes, store), "scenes"))) == expected


def test_what_is_warned_of_while_silhouettes_are_read_is_a_note(
    scenes: Annotations, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(video: Video, indices: Indices) -> np.ndarray:
        logging.getLogger("stal.data.masks").warning("%s: has masks for some frames", video.key)
        return read_masks(video, indices)

    monkeypatch.setattr("stal.checks.silhouettes.read_masks", read)
    report = check_data(data_of_annotations(scenes, "scenes"))
    assert codes(report) == {"reader-warning": "note"}
    assert f"{scenes.videos[0].key}: has masks for some frames" in report.findings[0].what


def test_sizes_that_are_wrong_are_not_held_against_boxes(scenes: Annotations, tmp_path: Path) -> None:
    annotations = Annotations(
        scenes.classes, tuple(replace(video, height=36, width=48, masks_path=None) for video in scenes.videos)
    )
    path = tmp_path / "tubes.json"
    write_tubes_json(annotations, path)
    assert codes(check_data(data_of_json(path))) == {"size-disagrees": "error"}


def test_exchanged_width_and_height_are_one_finding(scenes: Annotations) -> None:
    videos = (replace(video, height=96, width=72, masks_path=None) for video in scenes.videos)
    assert codes(check_data(data_of_annotations(Annotations(scenes.classes, tuple(videos)), "scenes"))) == {
        "size-disagrees": "error"
    }


def test_a_report_is_json_with_the_rule_of_every_video(scenes: Annotations) -> None:
    described = json.loads(json.dumps(check_data(data_of_annotations(scenes, "scenes")).describe()))
    assert {video["file"]["rule"] for video in described["videos"]} == {"order"}
    assert described["num_findings"] == {"error": 0, "warning": 0, "note": 0}
    assert (
        sum(described["tubes_per_class"]["train"].values()) + sum(described["tubes_per_class"]["iid"].values())
        == (described["num_tubes"])
    )


@pytest.mark.data
def test_real_videos_are_mapped_by_time_where_packets_are_empty_and_a_tube_is_known_to_be_there_twice(
    shared: Path,
) -> None:
    annotations = read_ucf24(
        video_root=shared / "media/ucf24_real/videos",
        annotation_file=shared / "annotations/ucf24/pyannot.pkl",
        test_list=shared / "annotations/ucf24/testlist01.txt",
        allow_missing=True,
    )
    report = check_data(data_of_annotations(annotations, "ucf24"))
    assert codes(report) == {
        "classes-unused": "warning",
        "tubes-jump": "warning",
        "tubes-duplicated": "warning",
        "self-score": "warning",
        "frames-held": "note",
    }
    assert sum(record.rule == "time" for record in report.records) == 7
    assert sum(record.rule == "order" for record in report.records) == 111
    duplicated = next(finding for finding in report.findings if finding.code == "tubes-duplicated")
    assert [example.video for example in duplicated.examples] == ["CliffDiving/v_CliffDiving_g13_c02"]
