"""The annotation format: lossless, and precise about what is wrong with a file."""

import copy
import dataclasses
import gc
import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from jsonschema import Draft202012Validator

from stal.data.formats.tubes_json import read_tubes_json, write_tubes_json
from stal.errors import AnnotationError, DataNotFoundError
from stal.structures import Annotations, Tube, Video


def document() -> dict[str, Any]:
    tube = {"id": 4, "label": "jump", "frames": [[0, 2], [5, 6]], "boxes": [[0, 1, 2.5, 3]] * 3}
    video = {
        "key": "a",
        "path": "videos/a.mp4",
        "num_frames": 6,
        "height": 12,
        "width": 16,
        "fps": 12.5,
        "split": "train",
        "scene": "beach",
        "labels": ["walk"],
        "masks": "masks/a.npz",
        "keypoints": "keypoints/a.npz",
        "tubes": [tube],
    }
    return {"format": "stal-tubes", "version": 1, "classes": ["walk", "jump"], "videos": [video]}


def save(value: Any, folder: Path) -> Path:
    path = folder / "annotations.json"
    path.write_text(json.dumps(value))
    return path


def assert_same_video(a: Video, b: Video) -> None:
    for name in (
        "key",
        "path",
        "num_frames",
        "height",
        "width",
        "fps",
        "split",
        "masks_path",
        "scene",
        "labels",
        "keypoints_path",
    ):
        assert getattr(a, name) == getattr(b, name), name
    assert len(a.tubes) == len(b.tubes)
    for one, other in zip(a.tubes, b.tubes, strict=True):
        assert (one.id, one.label) == (other.id, other.label)
        np.testing.assert_array_equal(one.frames, other.frames)
        np.testing.assert_array_equal(one.boxes, other.boxes)


def test_a_documented_file_is_read(tmp_path: Path) -> None:
    annotations = read_tubes_json(save(document(), tmp_path))
    (video,) = annotations.videos
    assert annotations.classes == ("walk", "jump")
    assert video.path == tmp_path / "videos/a.mp4"
    assert video.masks_path == tmp_path / "masks/a.npz"
    assert video.keypoints_path == tmp_path / "keypoints/a.npz"
    assert (video.fps, video.scene, video.split, video.labels) == (12.5, "beach", "train", (0,))
    assert video.tubes[0].label == 1
    assert video.tubes[0].frames.tolist() == [0, 1, 5]


def test_unknown_facts_may_be_null_or_left_out(tmp_path: Path) -> None:
    value = document()
    value["videos"][0]["fps"] = None
    value["videos"][0]["keypoints"] = None
    del value["videos"][0]["scene"], value["videos"][0]["masks"], value["videos"][0]["labels"]
    (video,) = read_tubes_json(save(value, tmp_path)).videos
    assert (video.fps, video.scene, video.masks_path, video.labels) == (None, None, None, ())


@given(
    frames=st.lists(st.integers(0, 30), min_size=1, max_size=12, unique=True),
    corner=hnp.arrays(np.float32, (12, 2), elements=st.floats(-500, 500, width=32)),
    size=hnp.arrays(np.float32, (12, 2), elements=st.floats(np.float32(1e-3).item(), 500, width=32)),
)
def test_round_trip_is_lossless(
    tmp_path_factory: pytest.TempPathFactory, frames: list[int], corner: np.ndarray, size: np.ndarray
) -> None:
    folder = tmp_path_factory.mktemp("round")
    boxes = np.concatenate([corner, np.maximum(corner + size, np.nextafter(corner, np.float32(np.inf)))], axis=1)
    tube = Tube(label=1, frames=np.array(sorted(frames)), boxes=boxes[: len(frames)], id=7)
    with_tube = Video(key="ü/1", path=folder / "v" / "a b.mp4", num_frames=31, height=3, width=5, tubes=(tube,))
    without = Video(
        key="2", path=folder.parent / "c.mp4", num_frames=1, height=3, width=5, fps=25.0, split="x", labels=(1, 0)
    )
    path = folder / "new" / "annotations.json"
    write_tubes_json(Annotations(("a", "b"), (with_tube, without)), path)
    again = read_tubes_json(path)
    assert again.classes == ("a", "b")
    for before, after in zip((with_tube, without), again.videos, strict=True):
        assert after.path.resolve() == before.path.resolve()
        assert_same_video(before, dataclasses.replace(after, path=before.path))


@pytest.mark.parametrize("videos", [(), (Video(key="a", path=Path("a.mp4"), num_frames=1, height=2, width=2),)])
def test_empty_and_tubeless_sets_round_trip(tmp_path: Path, videos: tuple[Video, ...]) -> None:
    write_tubes_json(Annotations(("a",), videos), tmp_path / "x.json")
    assert [v.key for v in read_tubes_json(tmp_path / "x.json").videos] == [v.key for v in videos]


def test_paths_in_the_file_are_relative_to_its_folder(tmp_path: Path) -> None:
    video = Video(key="a", path=tmp_path / "sub" / "a.mp4", num_frames=1, height=2, width=2)
    write_tubes_json(Annotations(("a",), (video,)), tmp_path / "x.json")
    assert json.loads((tmp_path / "x.json").read_text())["videos"][0]["path"] == "sub/a.mp4"


def test_detected_tubes_are_not_written(tmp_path: Path) -> None:
    tube = Tube(label=0, frames=np.array([0]), boxes=np.array([[0, 0, 1, 1]], np.float32), score=0.5)
    video = Video(key="a", path=Path("a.mp4"), num_frames=1, height=2, width=2, tubes=(tube,))
    with pytest.raises(AnnotationError, match=r"video a: tube 0 has a score, 0\.5"):
        write_tubes_json(Annotations(("a",), (video,)), tmp_path / "x.json")


def test_split_selects_videos_and_an_unknown_split_names_the_file(tmp_path: Path) -> None:
    path = save(document(), tmp_path)
    assert len(read_tubes_json(path, split="train").videos) == 1
    with pytest.raises(AnnotationError, match=r"annotations\.json.*'test'.*\['train'\]"):
        read_tubes_json(path, split="test")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        DataNotFoundError, match=r"nothing\.json: .*python tools/make_scenes\.py data/scenes.*data/README\.md"
    ):
        read_tubes_json(tmp_path / "nothing.json")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000])
def test_a_file_that_is_not_json_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "annotations.json"
    path.write_bytes(content)
    with pytest.raises(AnnotationError, match=r"annotations\.json: not a JSON file"):
        read_tubes_json(path)


REMOVED = object()
VIDEO = ("videos", 0)
TUBE = (*VIDEO, "tubes", 0)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("format",), "coco", 'the document: expected an object with "format": "stal-tubes"'),
        (("version",), 2, "version: version 2 of the format"),
        (("version",), "1", "version: expected an integer, got '1'"),
        (("classes",), REMOVED, "the document: the key 'classes' is missing"),
        (("classes",), "walk", "classes: expected a list"),
        (("classes", 1), 3, r"classes\[1\]: expected a text"),
        (("classes", 1), "walk", "classes: class names are not unique"),
        (("videos", 0), [], r"videos\[0\]: expected an object"),
        ((*VIDEO, "key"), REMOVED, r"videos\[0\]: the key 'key' is missing"),
        ((*VIDEO, "mask"), "m.npz", r"videos\[0\]: unknown keys \['mask'\]; the keys are key, path"),
        ((*VIDEO, "num_frames"), 6.0, r"videos\[0\]\.num_frames: expected an integer, got 6\.0"),
        ((*VIDEO, "num_frames"), True, r"videos\[0\]\.num_frames: expected an integer, got True"),
        ((*VIDEO, "height"), 0, r"videos\[0\]: video a: 6 frames of 0 x 16"),
        ((*VIDEO, "fps"), 0, r"videos\[0\]\.fps: got 0; expected frames per second"),
        ((*VIDEO, "fps"), "25", r"videos\[0\]\.fps: expected a finite number"),
        ((*VIDEO, "path"), None, r"videos\[0\]\.path: expected a text, got None"),
        ((*VIDEO, "tubes"), {}, r"videos\[0\]\.tubes: expected a list"),
        ((*TUBE, "label"), "run", r"videos\[0\]\.tubes\[0\]\.label: unknown class 'run'; the classes are walk, jump"),
        ((*TUBE, "label"), 1, r"tubes\[0\]\.label: expected a text, got 1"),
        ((*TUBE, "id"), None, r"tubes\[0\]\.id: expected an integer"),
        ((*TUBE, "frames"), [], r"tubes\[0\]\.frames: a tube has at least one frame"),
        ((*TUBE, "frames", 1), [2, 2], r"tubes\[0\]\.frames\[1\]: got \[2, 2\]; expected a run"),
        ((*TUBE, "frames", 1), [1, 2], r"tubes\[0\]\.frames\[1\]: got \[1, 2\]"),
        ((*TUBE, "frames", 1), [4, 10**15], r"tubes\[0\]\.frames\[1\]: .* the 6 frames of the video"),
        ((*TUBE, "frames", 1), [4], r"tubes\[0\]\.frames\[1\]: got \[4\]"),
        ((*TUBE, "frames", 1), 4, r"tubes\[0\]\.frames\[1\]: expected a list, got 4"),
        ((*TUBE, "frames", 1), [5, "6"], r"tubes\[0\]\.frames\[1\]\[1\]: expected an integer"),
        ((*TUBE, "boxes"), [[0, 0, 1, 1]], r"tubes\[0\]\.boxes: 1 boxes for 3 frames"),
        ((*TUBE, "boxes", 2), [0, 0, 1], r"tubes\[0\]\.boxes\[2\]: expected four finite numbers .* got \[0, 0, 1\]"),
        ((*TUBE, "boxes", 2), [0, 0, 1, "1"], r"tubes\[0\]\.boxes\[2\]: expected four finite numbers"),
        ((*TUBE, "boxes", 2), [0, 0, 1, float("nan")], r"tubes\[0\]\.boxes\[2\]: expected four finite numbers"),
        ((*TUBE, "boxes", 2), [0, 0, 1, 10**400], r"tubes\[0\]\.boxes\[2\]: expected four finite numbers"),
        ((*TUBE, "boxes", 2), [0, 0, 1, 1e39], r"tubes\[0\]\.boxes\[2\]: expected four finite numbers"),
        ((*TUBE, "boxes", 2), [0, 0, 1, True], r"tubes\[0\]\.boxes\[2\]: expected four finite numbers"),
        ((*TUBE, "boxes", 2), [0, 0, 1, [1]], r"tubes\[0\]\.boxes\[2\]: expected four finite numbers"),
        ((*TUBE, "boxes", 2), None, r"tubes\[0\]\.boxes\[2\]: expected four finite numbers .* got None"),
        ((*TUBE, "boxes", 2), "abcd", r"tubes\[0\]\.boxes\[2\]: expected four finite numbers .* got 'abcd'"),
        ((*TUBE, "boxes"), "abcd", r"tubes\[0\]\.boxes: expected a list, got 'abcd'"),
        ((*TUBE, "boxes"), [], r"tubes\[0\]\.boxes: 0 boxes for 3 frames"),
        ((*TUBE, "boxes", 2), [5, 0, 1, 1], r"videos\[0\]\.tubes\[0\]: tube 4 \(class 1\): box 2 is \[5\.0"),
        (VIDEO[:1], [document()["videos"][0]] * 2, "the document: video a is annotated twice"),
    ],
)
def test_a_bad_value_is_named_with_its_place(tmp_path: Path, place: tuple, value: Any, message: str) -> None:
    broken = document()
    parent = broken
    for step in place[:-1]:
        parent = parent[step]
    if value is REMOVED:
        del parent[place[-1]]
    else:
        parent[place[-1]] = value
    with pytest.raises(AnnotationError, match=rf"annotations\.json: .*{message}"):
        read_tubes_json(save(broken, tmp_path))


@pytest.mark.parametrize("is_enabled", [True, False])
def test_reading_leaves_the_collection_of_garbage_as_it_was(tmp_path: Path, is_enabled: bool) -> None:
    good, bad = save(document(), tmp_path), tmp_path / "bad.json"
    bad.write_text("{")
    was_enabled = gc.isenabled()
    try:
        (gc.enable if is_enabled else gc.disable)()
        read_tubes_json(good)
        assert gc.isenabled() == is_enabled
        with pytest.raises(AnnotationError):
            read_tubes_json(bad)
        assert gc.isenabled() == is_enabled
    finally:
        (gc.enable if was_enabled else gc.disable)()


SCHEMA = json.loads(resources.files("stal.data.formats").joinpath("tubes.schema.json").read_text())


def test_the_schema_is_one_and_accepts_what_is_documented_and_written(tmp_path: Path) -> None:
    Draft202012Validator.check_schema(SCHEMA)
    Draft202012Validator(SCHEMA).validate(document())
    write_tubes_json(read_tubes_json(save(document(), tmp_path)), tmp_path / "x.json")
    Draft202012Validator(SCHEMA).validate(json.loads((tmp_path / "x.json").read_text()))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in children for place in places(child, (*path, key)))]


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 9),
    st.sampled_from([10**400, -(2**60), 1e308, 3.4e38, 0.5, float("nan"), float("inf")]),
    st.text(max_size=2),
    st.lists(st.integers(0, 3), max_size=4),
    st.just({}),
    st.just(REMOVED),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from([place for place in places(document()) if place]), junk=JUNK)
def test_the_reader_refuses_what_the_schema_refuses_and_raises_nothing_else(
    tmp_path: Path, place: tuple[Any, ...], junk: Any
) -> None:
    value = copy.deepcopy(document())
    node = value
    for key in place[:-1]:
        node = node[key]
    if junk is REMOVED:
        del node[place[-1]]
    else:
        node[place[-1]] = junk
    is_valid = Draft202012Validator(SCHEMA).is_valid(value)
    try:
        read_tubes_json(save(value, tmp_path))
    except AnnotationError:
        return
    assert is_valid


def test_nothing_is_left_where_writing_fails(tmp_path: Path) -> None:
    tube = Tube(label=0, frames=np.array([0]), boxes=np.array([[0, 0, 1, 1]], np.float32), score=0.5)
    video = Video(key="a", path=Path("a.mp4"), num_frames=1, height=2, width=2, tubes=(tube,))
    (tmp_path / "x.json").write_text("before")
    with pytest.raises(AnnotationError):
        write_tubes_json(Annotations(("a",), (video,)), tmp_path / "x.json")
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]
    assert (tmp_path / "x.json").read_text() == "before"


@pytest.mark.parametrize(
    ("classes", "fps", "message"),
    [(("a", "a"), 25.0, "not unique"), (("a",), 0.0, "fps 0"), (("a",), np.nan, "fps nan")],
)
def test_what_could_not_be_read_back_is_not_written(
    tmp_path: Path, classes: tuple[str, ...], fps: float, message: str
) -> None:
    video = Video(key="a", path=Path("a.mp4"), num_frames=1, height=2, width=2, fps=fps)
    with pytest.raises(AnnotationError, match=message):
        write_tubes_json(Annotations(classes, (video,)), tmp_path / "x.json")


def test_a_key_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(document()).replace('"num_frames": 6', '"num_frames": 6, "num_frames": 7'))
    with pytest.raises(
        AnnotationError, match=r"annotations\.json: not a JSON file: the key 'num_frames' is there twice"
    ):
        read_tubes_json(path)
