"""Comparing two files of detections."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stal.data.detection_files import write_detections
from stal.errors import AnnotationError, ConfigError
from stal.evaluation.compare import compare_files
from stal.linking.linker import LINKERS, link_videos
from stal.metrics.video_map import video_map
from stal.structures import Annotations, Detections, Tube, Video

CLASSES = ("run", "walk")
NUM_FRAMES = 20


def annotated() -> Annotations:
    videos = []
    for i in range(6):
        tube = Tube(i % 2, np.arange(NUM_FRAMES), np.tile(np.float32([i, 2, i + 9, 14]), (NUM_FRAMES, 1)))
        videos.append(Video(f"v{i}", Path(f"v{i}"), NUM_FRAMES, 40, 40, tubes=(tube,)))
    return Annotations(CLASSES, tuple(videos))


ANNOTATED = annotated()
LENGTHS = {video.key: NUM_FRAMES for video in ANNOTATED.videos}


def detected(shift: float) -> dict[str, Detections]:
    """Every actor's boxes, moved sideways; the further in the later videos."""
    return {
        video.key: Detections(
            tube.frames,
            tube.boxes + np.float32([i * shift, 0, i * shift, 0]),
            np.full(len(tube), tube.label),
            np.full(len(tube), 0.9 - 0.1 * i),
        )
        for i, video in enumerate(ANNOTATED.videos)
        for tube in video.tubes
    }


def dump(path: Path, shift: float, annotations: Annotations = ANNOTATED, *, tubes: bool = True) -> Path:
    found = detected(shift)
    found = {video.key: found[video.key] for video in annotations.videos}
    linked = link_videos(LINKERS["default"], found, {video.key: video.num_frames for video in annotations.videos})
    write_detections(path, annotations, found, linked)
    if not tubes:
        with np.load(path) as file:
            np.savez(path, **{name: array for name, array in file.items() if not name.startswith("tube_")})
    return path


def test_differences_are_printed_and_written(tmp_path, capsys) -> None:
    a, b = dump(tmp_path / "a.npz", 2.0), dump(tmp_path / "b.npz", 0.1)
    comparison = compare_files(a, b, num_draws=50, seed=3, out=tmp_path / "new" / "comparison.json")
    metric = comparison.metrics["frame_mAP@0.5"]
    assert metric.a < metric.b == 100
    printed = capsys.readouterr().out
    assert f"detections:   {a}\n" in printed
    assert "6 videos, protocol voc" in printed
    assert "50 draws" in printed
    assert f"{metric.difference:+.2f}" in printed
    assert "video_mAP@0.5:0.95" in printed
    assert "walk" in printed
    written = json.loads((tmp_path / "new" / "comparison.json").read_text())
    assert (written["origin"]["a"]["detections"], written["origin"]["b"]["detections"]) == (str(a), str(b))
    assert written["metrics"]["frame_mAP@0.5"]["interval"] == list(metric.interval)
    assert (written["protocol"]["name"], written["num_draws"], written["seed"]) == ("voc", 50, 3)


def test_files_without_tubes_are_linked(tmp_path, capsys) -> None:
    a, b = (dump(tmp_path / f"{name}.npz", 0.5, tubes=False) for name in "ab")
    metric = compare_files(a, b, num_draws=10).metrics["video_mAP@0.5"]
    assert metric.difference == 0
    assert capsys.readouterr().out.count("linked here by Linker(") == 2


def test_given_tubes_are_not_compared_with_linked_ones(tmp_path) -> None:
    a, b = dump(tmp_path / "a.npz", 0.5, tubes=False), dump(tmp_path / "b.npz", 0.5)
    with pytest.raises(ConfigError, match=r"a\.npz has no tubes, .* --link, or give the tubes of both"):
        compare_files(a, b, num_draws=10)
    assert compare_files(a, b, link="online", num_draws=10).metrics["video_mAP@0.5"].difference == 0
    assert compare_files(a, b, protocol="tuber", num_draws=10).metrics["frame_mAP@0.5"].difference == 0


def test_tubes_may_be_in_files_of_their_own(tmp_path) -> None:
    a, b = dump(tmp_path / "a.npz", 0.5, tubes=False), dump(tmp_path / "b.npz", 0.5)
    assert compare_files(a, b, tubes=[b, b], num_draws=10).metrics["video_mAP@0.5"].difference == 0
    with pytest.raises(ConfigError, match="1 files of tubes"):
        compare_files(a, b, tubes=[b])


def test_where_nothing_can_be_written_is_said_first(tmp_path) -> None:
    a = dump(tmp_path / "a.npz", 0.5)
    with pytest.raises(ConfigError, match="is a folder"):
        compare_files(a, a, out=tmp_path)
    with pytest.raises(ConfigError, match=r"a\.npz is a file"):
        compare_files(a, a, out=a / "comparison.json")


def test_a_chosen_linker_makes_the_tubes_of_both(tmp_path) -> None:
    a, b = dump(tmp_path / "a.npz", 0.5, tubes=False), dump(tmp_path / "b.npz", 0.4)
    metric = compare_files(a, b, link="viterbi", num_draws=10).metrics["video_mAP@0.5"]
    for found, shift in ((metric.a, 0.5), (metric.b, 0.4)):
        tubes = link_videos(LINKERS["viterbi"], detected(shift), LENGTHS)
        assert found == pytest.approx(100 * video_map(ANNOTATED.videos, tubes, 2).mean)


def test_a_protocol_without_video_map_compares_frames_alone(tmp_path, capsys) -> None:
    a, b = dump(tmp_path / "a.npz", 2.0), dump(tmp_path / "b.npz", 0.1)
    comparison = compare_files(a, b, protocol="tuber", num_draws=10)
    assert comparison.metrics["frame_mAP@0.5"].difference > 0
    assert comparison.metrics["video_mAP@0.5"].difference is None
    assert "video_mAP" not in capsys.readouterr().out


def test_videos_in_another_order_need_one_ground_truth(tmp_path) -> None:
    backwards = replace(ANNOTATED, videos=ANNOTATED.videos[::-1])
    a, b = dump(tmp_path / "a.npz", 1.0), dump(tmp_path / "b.npz", 1.0, backwards)
    with pytest.raises(AnnotationError, match=r"video 0 is v0 in .*a.npz, but v5 in .*b.npz.* --ground-truth .*a.npz"):
        compare_files(a, b, num_draws=10)
    for metric in compare_files(a, b, ground_truth=a, num_draws=10).metrics.values():
        assert (metric.difference, metric.p) == (0, 1)


def test_one_ground_truth_file_serves_both(tmp_path) -> None:
    truth = dump(tmp_path / "truth.npz", 0.0)
    moved = tuple(
        replace(v, tubes=tuple(replace(t, boxes=t.boxes + np.float32(1)) for t in v.tubes)) for v in ANNOTATED.videos
    )
    a = dump(tmp_path / "a.npz", 1.0)
    b = dump(tmp_path / "b.npz", 1.0, replace(ANNOTATED, videos=moved))
    with pytest.raises(AnnotationError, match="another box in 6 videos, first v0; score both against one ground truth"):
        compare_files(a, b, num_draws=10)
    assert compare_files(a, b, ground_truth=truth, num_draws=10).metrics["frame_mAP@0.5"].difference == 0


def test_other_videos_or_classes_are_an_error_that_names_them(tmp_path) -> None:
    a = dump(tmp_path / "a.npz", 1.0)
    fewer = dump(tmp_path / "fewer.npz", 1.0, replace(ANNOTATED, videos=ANNOTATED.videos[:4]))
    for pair in ((a, fewer), (fewer, a)):
        with pytest.raises(AnnotationError, match=r"2 videos are in one of the files alone, first v4 in .*/a.npz"):
            compare_files(*pair)
    renamed = dump(tmp_path / "renamed.npz", 1.0, replace(ANNOTATED, classes=("walk", "run")))
    with pytest.raises(AnnotationError, match=r"a.npz has the classes run, walk, but .*renamed.npz has walk, run"):
        compare_files(a, renamed)


@pytest.mark.parametrize("choice", [{"protocol": "coco"}, {"link": "sort"}])
def test_unknown_names_are_errors_that_list_the_known_ones(tmp_path, choice) -> None:
    with pytest.raises(
        ConfigError, match=r"(protocol 'coco' is not known; .*voc|linker 'sort' is not known; .*viterbi)"
    ):
        compare_files(tmp_path / "a.npz", tmp_path / "b.npz", **choice)


def test_invalid_predictions_are_an_error_or_dropped_and_counted(tmp_path, capsys) -> None:
    a, b = dump(tmp_path / "a.npz", 0.5), dump(tmp_path / "b.npz", 0.5)
    with np.load(b) as file:
        arrays = dict(file)
    arrays["det_score"][3] = np.nan
    np.savez(b, **arrays)
    with pytest.raises(AnnotationError, match=r"b.npz.*det_score"):
        compare_files(a, b, num_draws=10)
    compare_files(a, b, drop_invalid=True, num_draws=10)
    assert "dropped 1: det_score" in capsys.readouterr().out


def test_boxes_in_two_conventions_are_not_compared(tmp_path) -> None:
    a, b = dump(tmp_path / "a.npz", 0.5), tmp_path / "b.npz"
    with np.load(a) as file:
        arrays = {name: array for name, array in file.items() if name != "format"}
    for kind in ("gt", "det", "tube"):
        arrays[f"{kind}_boxes"] = arrays[f"{kind}_boxes"] - np.float32([0, 0, 1, 1])
        for name in ({"det": ["frame"]}).get(kind, ["frame", "start"]):
            arrays[f"{kind}_{name}"] = arrays[f"{kind}_{name}"] + 1
    np.savez(b, **arrays)
    with pytest.raises(AnnotationError, match=r"b\.npz has no `format`"):
        compare_files(a, b, num_draws=10)
    # Under rules that add 1 to inclusive pixels the boxes are the same.
    assert compare_files(a, b, protocol="act", num_draws=10).metrics["frame_mAP@0.5"].difference == 0
