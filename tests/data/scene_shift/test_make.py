import dataclasses
import inspect
import json
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from stal.data.formats.tubes_json import read_tubes_json
from stal.data.scene_shift.make import ShiftedSet, make_scene_shift
from stal.data.ucf24 import read_ucf24
from stal.data.video.reader import read_frames
from stal.errors import AnnotationError, ConfigError, DataNotFoundError, VideoReadError
from stal.ops.masks import box_masks
from stal.structures import Annotations, Video

KINDS = ("swap", "still", "stripe", "scene_only", "actor_only")


@pytest.fixture(scope="module", params=KINDS)
def shifted(request: pytest.FixtureRequest, data_set: Annotations, tmp_path_factory) -> tuple[str, ShiftedSet, Path]:
    out = tmp_path_factory.mktemp("shifted") / "set"
    return request.param, make_scene_shift(data_set, out, request.param, seed=3), out


def frames_of(video: Video) -> np.ndarray:
    return read_frames(video.path, range(video.num_frames), num_frames=video.num_frames).astype(int)


def files_of(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def test_tubes_keys_splits_and_sizes_are_unchanged(shifted, data_set: Annotations) -> None:
    _, result, out = shifted
    read = read_tubes_json(out / "annotations.json")
    assert result.annotations_file == out / "annotations.json"
    assert read.classes == data_set.classes
    for video, source in zip(read.videos, data_set.videos, strict=True):
        for name in ("key", "num_frames", "height", "width", "fps", "split"):
            assert getattr(video, name) == getattr(source, name)
        for tube, expected in zip(video.tubes, source.tubes, strict=True):
            assert (tube.id, tube.label) == (expected.id, expected.label)
            assert tube.frames.tobytes() == expected.frames.tobytes()
            assert tube.boxes.tobytes() == expected.boxes.tobytes()


def test_files_show_the_actors_and_not_the_scene_of_the_source(
    shifted, data_set: Annotations, scene_colours, actor_colour
) -> None:
    kind, result, _ = shifted
    for video, source in zip(result.annotations.videos, data_set.videos, strict=True):
        frames = frames_of(video)
        label = source.tubes[0].label
        inside = np.zeros(frames.shape[:3], bool)
        for frame, (x1, y1, x2, y2) in enumerate(source.tubes[0].boxes.round().astype(int)):
            inside[frame, y1 + 3 : y2 - 3, x1 + 3 : x2 - 3] = True  # colours mix at the edge
        has_colour = [(np.abs(frames - colour) < 20).all(axis=-1) for colour in (scene_colours[label], actor_colour)]
        if kind == "scene_only":
            assert has_colour[0].all()
        else:
            assert has_colour[1][inside].all()
            assert kind == "stripe" or not has_colour[0].any()  # stripes may cross any colour


def test_files_are_h264_with_key_frames_and_of_the_rate_of_the_source(shifted) -> None:
    for video in shifted[1].annotations.videos:
        with av.open(video.path) as container:
            stream = container.streams.video[0]
            assert (stream.codec_context.name, stream.average_rate, stream.frames) == ("h264", 25, 8)


def test_scenes_are_those_that_are_shown(shifted, data_set: Annotations) -> None:
    kind, result, out = shifted
    records = {record["key"]: record for record in json.loads((out / "manifest.json").read_text())["videos"]}
    for video in result.annotations.videos:
        own = data_set.classes[video.tubes[0].label]
        if kind in ("swap", "still"):
            assert video.scene == records[video.key]["donor"]["key"].split("/")[0] != own
        else:
            assert video.scene == (own if kind == "scene_only" else None)


def test_silhouettes_are_named_where_their_actors_are_seen(shifted, data_set: Annotations) -> None:
    kind, _, out = shifted
    for video, source in zip(read_tubes_json(out / "annotations.json").videos, data_set.videos, strict=True):
        if kind == "scene_only":
            assert video.masks_path is None
        else:
            assert video.masks_path is not None
            assert video.masks_path.resolve() == source.masks_path


def test_the_manifest_says_what_every_video_was_made_of(shifted, data_set: Annotations) -> None:
    kind, _, out = shifted
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["kind"], manifest["mask"], manifest["seed"], manifest["is_complete"]) == (kind, "box", 3, True)
    assert manifest["skipped"] == []
    paths = {video.key: str(video.path) for video in data_set.videos}
    for record, video in zip(manifest["videos"], data_set.videos, strict=True):
        assert (record["key"], record["num_frames"], record["source"]["path"]) == (video.key, 8, paths[video.key])
        assert len(record["source"]["sha256"]) == 64
        donor = record["donor"]
        assert (donor is None) == (kind not in ("swap", "still"))
        assert donor is None or (donor["path"] == paths[donor["key"]] and len(donor["sha256"]) == 64)


def test_files_depend_on_neither_processes_nor_the_order_of_videos(data_set: Annotations, tmp_path: Path) -> None:
    make_scene_shift(data_set, tmp_path / "one", "swap", seed=1)
    turned = dataclasses.replace(data_set, videos=data_set.videos[::-1])
    make_scene_shift(turned, tmp_path / "two", "swap", seed=1, num_processes=2)
    one, two = files_of(tmp_path / "one"), files_of(tmp_path / "two")
    assert len(one) == 8
    assert {name: data for name, data in one.items() if name.endswith(".mp4")}.items() <= two.items()
    make_scene_shift(data_set, tmp_path / "other", "stripe", seed=2)
    make_scene_shift(data_set, tmp_path / "first", "stripe", seed=1)
    assert files_of(tmp_path / "other")["videos/walk/0.mp4"] != files_of(tmp_path / "first")["videos/walk/0.mp4"]


def test_a_video_alone_is_the_one_that_is_made_among_others(data_set: Annotations, tmp_path: Path) -> None:
    make_scene_shift(data_set, tmp_path / "all", "stripe")
    make_scene_shift(dataclasses.replace(data_set, videos=data_set.videos[3:4]), tmp_path / "one", "stripe")
    name = f"videos/{data_set.videos[3].key}.mp4"
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "all" / name).read_bytes()


def test_a_set_is_replaced_only_if_asked_and_other_folders_never(data_set: Annotations, tmp_path: Path) -> None:
    make_scene_shift(data_set, tmp_path / "set", "stripe")
    (tmp_path / "set" / "notes.txt").touch()
    with pytest.raises(ConfigError, match=r"holds a shifted set; .*--overwrite"):
        make_scene_shift(data_set, tmp_path / "set", "actor_only")
    one = dataclasses.replace(data_set, videos=data_set.videos[:1])
    make_scene_shift(one, tmp_path / "set", "actor_only", overwrite=True)
    expected = {"annotations.json", "manifest.json", "notes.txt", "videos/walk/0.mp4"}
    assert files_of(tmp_path / "set").keys() == expected
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "manifest.json").write_text('{"format": "another"}')
    with pytest.raises(ConfigError, match="is not empty, and not a set of this tool"):
        make_scene_shift(data_set, tmp_path / "foreign", "stripe", overwrite=True)
    with pytest.raises(ConfigError, match=r"notes.txt is a file"):
        make_scene_shift(data_set, tmp_path / "set" / "notes.txt", "stripe", overwrite=True)


def test_what_an_interrupted_run_left_is_known_and_can_be_replaced(
    data_set: Annotations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("stal.data.scene_shift.make.make_video", interrupt)
        with pytest.raises(KeyboardInterrupt):
            make_scene_shift(data_set, tmp_path / "set", "stripe")
    assert files_of(tmp_path / "set").keys() == {"manifest.json"}
    assert not json.loads((tmp_path / "set" / "manifest.json").read_text())["is_complete"]
    make_scene_shift(data_set, tmp_path / "set", "stripe", overwrite=True)
    assert json.loads((tmp_path / "set" / "manifest.json").read_text())["is_complete"]


def test_a_video_that_cannot_be_read_is_skipped_and_named(data_set: Annotations, tmp_path: Path) -> None:
    path = tmp_path / "source" / "broken.mp4"
    path.parent.mkdir()
    path.write_bytes(b"no video")
    broken = dataclasses.replace(data_set.videos[1], path=path)
    videos = (data_set.videos[0], broken, *data_set.videos[2:])
    result = make_scene_shift(dataclasses.replace(data_set, videos=videos), tmp_path / "out", "stripe")
    assert list(result.skipped) == ["walk/1"]
    assert "broken.mp4" in result.skipped["walk/1"]
    assert [video.key for video in result.annotations.videos] == [v.key for v in data_set.videos if v.key != "walk/1"]
    assert read_tubes_json(result.annotations_file).videos[1].key == "jump/0"
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["skipped"] == [{"key": "walk/1", "reason": result.skipped["walk/1"]}]
    assert not (tmp_path / "out" / "videos" / "walk" / "1.mp4").exists()


def test_a_set_without_one_video_is_an_error(data_set: Annotations, tmp_path: Path) -> None:
    lost = dataclasses.replace(data_set.videos[0], path=tmp_path / "source" / "nowhere.mp4")
    with pytest.raises(VideoReadError, match=r"not one of 1 videos could be made: .*nowhere\.mp4"):
        make_scene_shift(dataclasses.replace(data_set, videos=(lost,)), tmp_path / "out", "stripe")
    assert not (tmp_path / "out" / "annotations.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "swop"}, "kind 'swop': choose one of swap, still"),
        ({"mask": "circle"}, "mask 'circle': choose one of box, silhouette"),
        ({"seed": -1}, "seed -1"),
        ({"num_processes": 0}, "0 processes"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(data_set, tmp_path, arguments, message) -> None:
    with pytest.raises(ConfigError, match=message):
        inspect.unwrap(make_scene_shift)(data_set, tmp_path / "out", **({"kind": "swap"} | arguments))
    assert not (tmp_path / "out").exists()


def test_missing_silhouettes_and_donors_are_said_before_anything_is_written(
    data_set: Annotations, tmp_path: Path
) -> None:
    bare = dataclasses.replace(data_set.videos[1], masks_path=None)
    lost = dataclasses.replace(data_set.videos[1], masks_path=tmp_path / "lost.npz")
    for video, message in ((bare, r"video walk/1 has no silhouettes.*--mask box"), (lost, r"lost\.npz.*video walk/1")):
        with pytest.raises(DataNotFoundError, match=message):
            videos = (data_set.videos[0], video)
            make_scene_shift(
                dataclasses.replace(data_set, videos=videos), tmp_path / "out", "stripe", mask="silhouette"
            )
    with pytest.raises(AnnotationError, match="video walk/0: no other video"):
        make_scene_shift(dataclasses.replace(data_set, videos=data_set.videos[:2]), tmp_path / "out", "swap")
    assert not (tmp_path / "out").exists()


def test_odd_sizes_stay_odd(new_video: Callable[..., Video], data_set: Annotations, tmp_path: Path) -> None:
    odd = new_video(tmp_path, 0, 7, height=51, width=65)
    result = make_scene_shift(dataclasses.replace(data_set, videos=(odd,)), tmp_path / "out", "actor_only")
    assert frames_of(result.annotations.videos[0]).shape == (8, 51, 65, 3)


def test_the_set_cannot_be_put_among_its_sources(data_set: Annotations) -> None:
    with pytest.raises(ConfigError, match="inside of the folder of the videos"):
        make_scene_shift(data_set, data_set.videos[0].path.parents[1] / "new", "stripe")


@pytest.mark.data
def test_real_videos_keep_their_actors_on_the_scene_of_another_class(shared: Path, tmp_path: Path) -> None:
    data_set = read_ucf24(
        video_root=shared / "media/ucf24_real/videos",
        annotation_file=shared / "annotations/ucf24/pyannot.pkl",
        test_list=shared / "annotations/ucf24/testlist01.txt",
        allow_missing=True,
    )
    keys = ("CliffDiving/v_CliffDiving_g07_c01", "Skiing/v_Skiing_g07_c04")
    videos = tuple(video for video in data_set.videos if video.key in keys)
    result = make_scene_shift(dataclasses.replace(data_set, videos=videos), tmp_path / "out", "swap")
    assert [video.scene for video in result.annotations.videos] == ["Skiing", "CliffDiving"]
    for video, source in zip(result.annotations.videos, videos, strict=True):
        boxes, has_box = source.tubes[0].boxes_at(np.arange(source.num_frames))
        inside = box_masks(torch.from_numpy(boxes), source.height, source.width).numpy()
        difference = np.abs(frames_of(video) - frames_of(source)).mean(axis=-1)
        assert has_box.any()
        assert difference[inside].mean() < 4
        assert difference[~inside].mean() > 30
