"""Conversion between formats: options that are taken, classes that are merged, paths that point to the videos."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stal.data.formats.convert import accepted_options, convert_annotations, count_splits, merge
from stal.data.formats.known_formats import FORMATS
from stal.data.formats.tubes_json import read_tubes_json, write_tubes_json
from stal.data.formats.video_source import VideoSource
from stal.errors import AnnotationError, ConfigError, DataNotFoundError
from stal.structures import Annotations, Tube, Video

ROOT = Path(__file__).parents[3]


def tube(label: int = 0, id: int = 0, start: int = 0) -> Tube:
    boxes = np.array([[0.25, 1 / 3, 9.5, 7], [1e-3, 1, 10, 11.1]], np.float32)
    return Tube(label, np.arange(start, start + 2), boxes, id)


def video(key: str, *tubes: Tube, **fields: Any) -> Video:
    return Video(key, fields.pop("path", Path(f"{key}.mp4")), 9, 24, 32, tubes=tubes, **fields)


def save(folder: Path, annotations: Annotations, name: str = "in.json") -> str:
    write_tubes_json(annotations, folder / name)
    return str(folder / name)


def assert_same_tubes(one: Annotations, other: Annotations) -> None:
    assert [v.key for v in one.videos] == [v.key for v in other.videos]
    for a, b in zip(one.videos, other.videos, strict=True):
        assert len(a.tubes) == len(b.tubes), a.key
        for s, t in zip(a.tubes, b.tubes, strict=True):
            assert one.classes[s.label] == other.classes[t.label]
            np.testing.assert_array_equal(s.frames, t.frames)
            np.testing.assert_array_equal(s.boxes, t.boxes)


CORNERS = st.tuples(*[st.floats(0, 300, width=32)] * 4)
TUBES = st.lists(st.tuples(st.integers(0, 2), st.dictionaries(st.integers(0, 49), CORNERS, min_size=1)), max_size=3)


def data_set(*drawn: list[tuple[int, dict[int, tuple[float, ...]]]]) -> Annotations:
    """Videos of one split, whose tubes have gaps, and ids from 0 on in the order of the classes."""
    videos = []
    for number, rows in enumerate(drawn):
        tubes = []
        for label, corners in sorted(rows, key=lambda row: row[0]):
            boxes = np.array([[x, y, x + w + 1, y + h + 1] for _, (x, y, w, h) in sorted(corners.items())], np.float32)
            tubes.append(Tube(label, np.array(sorted(corners)), boxes, len(tubes)))
        videos.append(Video(f"x/{number}", Path("x"), 50, 240, 320, tubes=tuple(tubes), split="train"))
    return Annotations(("a", "b", "c"), tuple(videos))


@pytest.mark.parametrize("to", [name for name, known in FORMATS.items() if known.write is not None])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=TUBES, second=TUBES)
def test_every_writer_gives_back_every_bit(tmp_path: Path, to: str, first: list, second: list) -> None:
    before = data_set(first, second)
    options = {"classes": ["a", "b", "c"], "size": (240, 320)} if to == "ava" else {}
    out = tmp_path / ("cvat" if to == "cvat" else "out.csv")
    convert_annotations([save(tmp_path, before)], "stal", out, to=to, overwrite=True)
    convert_annotations([str(out)], to, tmp_path / "back.json", options=options, overwrite=True)
    after = read_tubes_json(tmp_path / "back.json")
    if to == "act-pickle":  # which holds inclusive pixels: 1 is subtracted in float32, and added again
        after = Annotations(
            after.classes, tuple(_with_boxes_of(v, w) for v, w in zip(after.videos, before.videos, strict=True))
        )
    assert_same_tubes(before, after)
    assert {v.split for v in after.videos} == {"train"}


def _with_boxes_of(found: Video, wanted: Video) -> Video:
    """Return the wanted video if the found one has its boxes within the precision of float32."""
    for a, b in zip(found.tubes, wanted.tubes, strict=True):
        np.testing.assert_allclose(a.boxes, b.boxes, rtol=0, atol=1e-4)
        assert (a.label, a.frames.tolist()) == (b.label, b.frames.tolist())
    return wanted


def test_several_inputs_are_merged_by_the_names_of_their_classes(tmp_path: Path) -> None:
    first = save(tmp_path, Annotations(("walk", "jump"), (video("a", tube(1)),)), "1.json")
    second = save(tmp_path, Annotations(("run", "jump"), (video("b", tube(0), tube(1, 5)),)), "2.json")
    merged = convert_annotations([first, second], "stal", tmp_path / "out.json")
    assert merged.classes == ("walk", "jump", "run")
    assert [[t.label for t in v.tubes] for v in merged.videos] == [[1], [2, 1]]
    with pytest.raises(
        AnnotationError, match=r"video a is annotated twice, in .*1\.json and in .*1\.json; leave one out"
    ):
        convert_annotations([first, first], "stal", tmp_path / "other.json")
    assert merge([]).videos == ()


def test_an_input_may_be_given_the_name_of_its_split(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.csv").write_text(f"{name},0901,0.1,0.1,0.2,0.2,1,0\n")
    inputs = [f"train={tmp_path / 'one.csv'}", f"test={tmp_path / 'two.csv'}"]
    options = {"classes": ["walk"], "size": (10, 10)}
    merged = convert_annotations(inputs, "ava", tmp_path / "out.json", options=options)
    assert [(row.split, row.num_videos, row.num_tubes, row.num_boxes) for row in count_splits(merged)] == [
        ("train", 1, 1, 1),
        ("test", 1, 1, 1),
    ]
    with pytest.raises(ConfigError, match=r"train=x\.json: the format stal has splits of its own"):
        convert_annotations(["train=x.json"], "stal", tmp_path / "other.json")


def test_one_name_of_a_split_is_given(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("one,0901,0.1,0.1,0.2,0.2,1,0\n")
    options = {"classes": ["walk"], "size": (10, 10), "split": "val"}
    inputs = [f"train={tmp_path / 'one.csv'}"]
    with pytest.raises(ConfigError, match=r"train=.*one\.csv: --split gives the split 'val'; leave one of the two"):
        convert_annotations(inputs, "ava", tmp_path / "out.json", options=options)
    same = convert_annotations(inputs, "ava", tmp_path / "out.json", options=options | {"split": "train"})
    assert same.videos[0].split == "train"


def test_yowo_says_the_splits_where_it_has_lists(tmp_path: Path, write_sample: Callable[[str], Any]) -> None:
    root = write_sample("yowo").path
    options = {"size": (240, 320)}
    for inputs, split in (([f"val={root}"], None), ([str(root)], "val")):
        with pytest.raises(
            ConfigError, match=r"has splits of its own, in trainlist\.txt and testlist\.txt; leave 'val'"
        ):
            convert_annotations(inputs, "yowo", tmp_path / "o.json", options=options | {"split": split})
    for file in ("trainlist.txt", "testlist.txt"):
        (root / file).unlink()
    for inputs, split in (([f"val={root}"], "val"), ([str(root)], "train")):
        found = convert_annotations(inputs, "yowo", tmp_path / f"{split}.json", options=options)
        assert {video.split for video in found.videos} == {split}


def test_classes_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("walk\r\njump\n\n")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "1.txt").write_text("1 0.5 0.5 0.1 0.1")
    options = {"classes": [str(tmp_path / "names.txt")], "size": (10, 10)}
    found = convert_annotations([str(tmp_path / "labels")], "yolo", tmp_path / "out.json", options=options)
    assert found.classes == ("walk", "jump")


def test_paths_are_beside_the_output_or_where_the_videos_are(
    tmp_path: Path, write_sample: Callable[[str], Any]
) -> None:
    sample = write_sample("coco-video")
    convert_annotations([str(sample.path)], "coco-video", tmp_path / "new" / "out.json")
    document = json.loads((tmp_path / "new" / "out.json").read_text())
    assert document["videos"][0]["path"] == document["videos"][0]["key"] == "Biking/v_Biking_g01_c01"
    for key, num_frames in (("Biking/v_Biking_g01_c01", 12), ("Diving/v_Diving_g02_c03", 9)):
        (tmp_path / "frames" / key).mkdir(parents=True)
        for frame in range(num_frames):
            cv2.imwrite(str(tmp_path / "frames" / key / f"{frame + 1:05d}.png"), np.zeros((240, 320, 3), np.uint8))
    options = {"videos": str(tmp_path / "frames")}
    for name in ("coco-video", "act-pickle"):  # one learns about its videos, the other one only finds them
        sample = sample if name == "coco-video" else write_sample(name)
        convert_annotations([str(sample.path)], name, tmp_path / "new" / f"{name}.json", options=options)
        document = json.loads((tmp_path / "new" / f"{name}.json").read_text())
        assert document["videos"][0]["path"] == "../frames/Biking/v_Biking_g01_c01"
        assert read_tubes_json(tmp_path / "new" / f"{name}.json").videos[0].path.is_dir()


def test_videos_that_are_not_there_are_counted(tmp_path: Path, write_sample: Callable[[str], Any]) -> None:
    sample = write_sample("act-pickle")
    with pytest.raises(DataNotFoundError, match="2 of 2 videos are missing, the first is Biking/v_Biking_g01_c01"):
        convert_annotations([str(sample.path)], "act-pickle", tmp_path / "o.json", options={"videos": str(tmp_path)})
    with pytest.raises(DataNotFoundError, match=r"there is no such folder of videos \(--videos\)"):
        convert_annotations([str(sample.path)], "act-pickle", tmp_path / "o.json", options={"videos": "nowhere"})


def test_an_option_that_is_not_taken_names_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="format yolo does not take --fold, --start-seconds; it takes --videos, --size"
    ):
        convert_annotations(["x"], "yolo", tmp_path / "o.json", options={"fold": 1, "start_seconds": 2.0, "fps": None})
    assert accepted_options("stal") == ["videos", "split"]
    assert accepted_options("stal", "ava") == ["videos", "fps", "split", "start_seconds"]
    assert accepted_options("cvat") == ["videos", "size", "fps", "split", "attribute"]


def test_formats_are_known_and_outputs_are_not_overwritten(tmp_path: Path) -> None:
    path = save(tmp_path, Annotations(("walk",), (video("a", tube()),)))
    with pytest.raises(ConfigError, match="there is no format 'csv'; the formats are stal"):
        convert_annotations([path], "csv", tmp_path / "o.json")
    with pytest.raises(ConfigError, match=r"yolo is only read; .* are stal, act-pickle, ava, cvat"):
        convert_annotations([path], "stal", tmp_path / "o.txt", to="yolo")
    with pytest.raises(ConfigError, match=r"in\.json is there already; .*--overwrite"):
        convert_annotations([path], "stal", path)


def test_the_size_of_a_file_and_of_its_video_must_agree(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    cv2.imwrite(str(tmp_path / "a" / "1.png"), np.zeros((24, 32, 3), np.uint8))
    source = VideoSource(root=tmp_path)
    assert source.facts("a", num_frames=1, owner="x", size=(24, 32)).num_frames == 1
    with pytest.raises(AnnotationError, match=r"x: video a was annotated in 64 x 48 pixels, but .*a has 32 x 24"):
        source.facts("a", num_frames=1, owner="x", size=(48, 64))
    for key in ("b", "a" * 300, "nul\0", "\ud800", "../../etc"):
        with pytest.raises(DataNotFoundError, match="x: video"):
            source.facts(key, num_frames=1, owner="x")


def test_the_tool_prints_what_a_split_holds_and_what_was_dropped(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,0901,0.1,0.1,0.2,0.2,1,0\na,0901,0.1,0.1,0.2,0.2,80,0\n")
    (tmp_path / "a.pbtxt").write_text('item { name: "walk" id: 1 }')
    flags = ("--format", "ava", f"val={tmp_path / 'a.csv'}", "--out", str(tmp_path / "o.json"), "--size", "32x24")
    command = [sys.executable, str(ROOT / "tools" / "import_annotations.py"), *flags]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "dropped 1 of 2 boxes, with action ids that have no name: 80" in done.stderr
    assert re.search(r"val\D+1\D+1\D+1\D", done.stdout)
    (found,) = read_tubes_json(tmp_path / "o.json").videos
    assert (found.height, found.width, found.split) == (24, 32, "val")


@pytest.mark.parametrize("out", ["folder", "file/out.json", "x" * 300])
def test_what_cannot_be_written_is_named(tmp_path: Path, out: str) -> None:
    path = save(tmp_path, Annotations(("walk",), (video("a", tube()),)))
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=f"^{tmp_path / out}: (this is a folder|cannot be written)"):
        convert_annotations([path], "stal", tmp_path / out, overwrite=True)


def test_the_tool_ends_with_one_line_where_it_cannot_write(tmp_path: Path) -> None:
    path = save(tmp_path, Annotations(("walk",), (video("a", tube()),)))
    flags = (path, "--format", "stal", "--out", str(tmp_path), "--overwrite")
    command = [sys.executable, str(ROOT / "tools" / "import_annotations.py"), *flags]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert re.fullmatch(rf"error: {tmp_path}: [^\n]+\n", done.stderr)


def test_the_help_says_what_the_formats_are() -> None:
    command = [sys.executable, str(ROOT / "tools" / "import_annotations.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    for name, known in FORMATS.items():
        assert re.search(rf"^  {name} +{re.escape(known.what)}$", done.stdout, re.MULTILINE)


@pytest.mark.data
def test_real_annotations_come_back_from_every_writer(tmp_path: Path, shared: Path) -> None:
    pickle = str(shared / "annotations" / "jhmdb" / "JHMDB-GT.pkl")
    before = convert_annotations([pickle], "act-pickle", tmp_path / "own.json", options={"fold": 2, "split": "test"})
    assert sum(len(v.tubes) for v in before.videos) == 270
    for to, out in (("act-pickle", "out.pkl"), ("cvat", "cvat"), ("ava", "out.csv")):
        convert_annotations([str(tmp_path / "own.json")], "stal", tmp_path / out, to=to)
        options = {"size": (240, 320)} if to == "ava" else {}
        after = convert_annotations([str(tmp_path / out)], to, tmp_path / f"{to}.json", options=options)
        by_key = {v.key: v for v in after.videos}
        assert_same_tubes(before, Annotations(after.classes, tuple(by_key[v.key] for v in before.videos)))
