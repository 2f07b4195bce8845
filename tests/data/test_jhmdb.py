"""JHMDB-21, on a miniature of it in each of the layouts that its copies have."""

import logging
import pickle
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from stal.data.jhmdb import CLASSES, read_jhmdb
from stal.data.masks import read_masks
from stal.data.video.reader import read_frames
from stal.engine.build import build_annotations
from stal.engine.config import load_config
from stal.engine.entry import train
from stal.errors import AnnotationError, ConfigError, DataNotFoundError

ROOT = Path(__file__).parents[2]
HEIGHT, WIDTH, NUM_FRAMES = 48, 64, 6
SHORT = "clap/boom_(challenge)_clap_u_nm_np1_fr_med_0"
REAL = "catch/Goal_Keeping_Tips_catch_f_cm_np1_fr_med_2"


def keys_of(class_name: str) -> list[str]:
    """Two videos of a class, with names like the real ones; in fold 1 the first is of train and the other of test."""
    if class_name == "clap":
        return [SHORT, "clap/@20_Rhythm_clap_u_nm_np1_fr_goo_1"]
    return [f"{class_name}/Golf!_300+_@ 6 (Part_{i})_{class_name}_f_cm_np1_ri_goo_0" for i in (1, 2)]


KEYS = [key for name in CLASSES for key in keys_of(name)]


def boxes_of(position: int) -> np.ndarray:
    """Return the half-open boxes of a video: the actor moves to the right, and stands still on the last frame."""
    left = 2 + position % 20 + np.minimum(np.arange(NUM_FRAMES), NUM_FRAMES - 2)
    return np.stack([left, np.full(NUM_FRAMES, 10), left + 12, np.full(NUM_FRAMES, 40)], axis=1).astype(np.float32)


def write_video(root: Path, key: str, position: int) -> None:
    """Write frames and mask; the actor is an ellipse, and the mask of one video lacks the last frame."""
    (root / "Rename_Images" / key).mkdir(parents=True)
    generator = np.random.default_rng(position)
    mask = np.zeros((HEIGHT, WIDTH, NUM_FRAMES), np.uint8)
    for frame, (x1, y1, x2, y2) in enumerate(boxes_of(position)):
        y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
        inside = ((x - (x1 + x2) / 2) / (x2 - x1)) ** 2 + ((y - (y1 + y2) / 2) / (y2 - y1)) ** 2 <= 0.25
        mask[:, :, frame] = inside
        image = generator.integers(0, 99, (HEIGHT, WIDTH, 3), np.uint8)
        image[inside] += 100
        cv2.imwrite(str(root / "Rename_Images" / key / f"{frame + 1:05d}.png"), image)
    mask = mask[:, :, : NUM_FRAMES - (key == SHORT)]
    (root / "puppet_mask" / key).mkdir(parents=True)
    savemat(root / "puppet_mask" / key / "puppet_mask.mat", {"part_mask": mask}, do_compression=True)


def write_splits(root: Path) -> None:
    (root / "splits").mkdir()
    for name in CLASSES:
        first, second = (f"{key.split('/')[1]}.avi" for key in keys_of(name))
        for fold, uses in ((1, (1, 2)), (2, (2, 1)), (3, (1, 0))):
            lines = f"{first} {uses[0]} \r\n{second} {uses[1]} \r\n"
            (root / "splits" / f"{name}_test_split{fold}.txt").write_bytes(lines.encode())


def write_pickle(root: Path) -> None:
    first, second = KEYS[::2], KEYS[1::2]
    rows = {
        key: np.column_stack([np.arange(NUM_FRAMES) + 1, boxes_of(position) - [0, 0, 1, 1]]).astype(np.float32)
        for position, key in enumerate(KEYS)
    }
    raw = {
        "labels": list(CLASSES),
        "gttubes": {key: {CLASSES.index(key.split("/")[0]): [rows[key]]} for key in KEYS},
        "nframes": dict.fromkeys(KEYS, NUM_FRAMES),
        "resolution": dict.fromkeys(KEYS, (HEIGHT, WIDTH)),
        "train_videos": [first, second, first],
        "test_videos": [second, first, []],
    }
    (root / "JHMDB-GT.pkl").write_bytes(pickle.dumps(raw, protocol=2))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A miniature with all parts; nothing may change it."""
    root = tmp_path_factory.mktemp("jhmdb")
    for position, key in enumerate(KEYS):
        write_video(root, key, position)
    write_splits(root)
    write_pickle(root)
    return root


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    """A copy of the miniature that a test may change."""
    for part in whole.iterdir():
        copy = shutil.copytree if part.is_dir() else shutil.copyfile
        copy(part, tmp_path / part.name)
    return tmp_path


def assert_whole(root: Path, fold: int = 1) -> None:
    annotations = read_jhmdb(root, fold=fold)
    assert annotations.classes == CLASSES
    assert {video.key for video in annotations.videos} == set(KEYS)
    for video in annotations.videos:
        position = KEYS.index(video.key)
        assert video.split == ("train" if position % 2 == fold - 1 else "test")
        assert (video.num_frames, video.height, video.width, video.fps) == (NUM_FRAMES, HEIGHT, WIDTH, None)
        (tube,) = video.tubes
        assert (tube.id, CLASSES[tube.label]) == (0, video.key.split("/")[0])
        assert tube.frames.tolist() == list(range(NUM_FRAMES))
        np.testing.assert_array_equal(tube.boxes, boxes_of(position))


@pytest.mark.parametrize("fold", [1, 2])
@pytest.mark.parametrize("left_out", [(), ("splits",), ("JHMDB-GT.pkl",)])
def test_the_pickle_and_the_official_archives_give_the_same(root: Path, fold: int, left_out: tuple[str, ...]) -> None:
    for name in left_out:
        (root / name).rename(root / f"no {name}")
    assert_whole(root, fold)


def test_frames_and_silhouettes_are_those_of_the_video(whole: Path) -> None:
    for video in read_jhmdb(whole, split="train").videos[:3]:
        frames = read_frames(video.path, range(NUM_FRAMES), num_frames=video.num_frames)
        masks = read_masks(video, range(NUM_FRAMES - 1))
        assert frames[:-1][masks == 1].min() >= 100 > frames[:-1][masks == 0].max()


@pytest.mark.parametrize("left_out", ["splits", "JHMDB-GT.pkl"])
def test_joints_are_found_where_they_are(root: Path, left_out: str) -> None:
    assert {video.keypoints_path for video in read_jhmdb(root).videos} == {None}
    (root / left_out).rename(root / f"no {left_out}")
    path = root / "joint_positions" / KEYS[0] / "joint_positions.mat"
    path.parent.mkdir(parents=True)
    path.touch()
    found = {video.key: video.keypoints_path for video in read_jhmdb(root).videos}
    assert found == dict.fromkeys(KEYS) | {KEYS[0]: path}


@pytest.mark.parametrize(("split", "keys"), [("train", KEYS[::2]), ("test", KEYS[1::2])])
def test_a_split_can_be_chosen(whole: Path, split: str, keys: list[str]) -> None:
    assert sorted(video.key for video in read_jhmdb(whole, split=split).videos) == sorted(keys)


def test_a_video_that_a_fold_does_not_use_is_left_out(root: Path) -> None:
    assert {video.key for video in read_jhmdb(root, fold=3).videos} == set(KEYS[::2])
    (root / "JHMDB-GT.pkl").unlink()
    assert {video.key for video in read_jhmdb(root, fold=3).videos} == set(KEYS[::2])


def test_boxes_made_of_a_short_mask_repeat_the_last_one(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root / "JHMDB-GT.pkl").unlink()
    video = next(video for video in read_jhmdb(root).videos if video.key == SHORT)
    np.testing.assert_array_equal(video.tubes[0].boxes[-1], video.tubes[0].boxes[-2])
    assert f"{SHORT}/puppet_mask.mat: has 5 of 6 frames; the last box is repeated" in caplog.text


def test_an_actor_who_is_not_seen_has_no_box(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root / "JHMDB-GT.pkl").unlink()
    mask = np.ones((HEIGHT, WIDTH, NUM_FRAMES), np.uint8)
    mask[:, :, 2] = 0
    path = root / "puppet_mask" / KEYS[0] / "puppet_mask.mat"
    savemat(path, {"part_mask": mask})
    assert read_jhmdb(root).videos[0].tubes[0].frames.tolist() == [0, 1, 3, 4, 5]
    assert "empty on 1 of 6 frames, which get no box" in caplog.text
    savemat(path, {"part_mask": mask * 0})
    with pytest.raises(AnnotationError, match=r"puppet_mask\.mat: the mask is empty on every frame"):
        read_jhmdb(root)
    savemat(path, {"part_mask": np.ones((HEIGHT, WIDTH, NUM_FRAMES + 1), np.uint8)})
    with pytest.raises(AnnotationError, match=r"puppet_mask\.mat: has 7 frames, but .* only 6"):
        read_jhmdb(root)


def test_silhouettes_are_found_in_the_layout_of_the_public_copy_too(root: Path) -> None:
    for key in KEYS:
        target = root / "mask" / f"{key}.mat"
        target.parent.mkdir(parents=True, exist_ok=True)
        (root / "puppet_mask" / key / "puppet_mask.mat").rename(target)
    shutil.rmtree(root / "puppet_mask")
    video = read_jhmdb(root).videos[0]
    assert video.masks_path == root / "mask" / f"{video.key}.mat"
    (root / "JHMDB-GT.pkl").unlink()
    assert_whole(root)


def test_videos_are_found_as_files_where_the_copy_has_those(root: Path) -> None:
    for key in KEYS:
        target = root / "ReCompress_Videos" / f"{key}.avi"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    assert read_jhmdb(root).videos[0].path == root / "Rename_Images" / KEYS[0]
    shutil.rmtree(root / "Rename_Images")
    assert read_jhmdb(root).videos[0].path == root / "ReCompress_Videos" / f"{KEYS[0]}.avi"


def test_every_path_can_be_given_on_its_own(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    names = {"video_root": "Rename_Images", "annotation_file": "JHMDB-GT.pkl", "mask_root": "puppet_mask"}
    for name in names.values():
        (root / name).rename(elsewhere / name)
    annotations = read_jhmdb(root, **{key: str(elsewhere / name) for key, name in names.items()})
    assert len(annotations.videos) == len(KEYS)
    assert all(video.masks_path is not None for video in annotations.videos)


def test_videos_without_silhouettes_say_so(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.rmtree(root / "puppet_mask")
    assert {video.masks_path for video in read_jhmdb(root).videos} == {None}
    assert "puppet_mask is not there, so the videos of JHMDB-21 have no silhouettes" in caplog.text


def test_a_pickle_and_lists_that_differ_are_an_error(root: Path) -> None:
    path = root / "splits" / "golf_test_split1.txt"
    path.write_text(path.read_text().replace(" 1", " 2"))
    with pytest.raises(AnnotationError, match=r"JHMDB-GT\.pkl and .*splits differ in 1 videos: golf/.* train .* test"):
        read_jhmdb(root)
    path.write_text("new.avi 1\n")
    with pytest.raises(AnnotationError, match=r"differ in 3 videos: golf/Golf!.* train .* none"):
        read_jhmdb(root)


@pytest.mark.parametrize("what", ["videos", "silhouettes"])
def test_what_is_missing_is_counted_and_named_or_left_out(
    root: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = root / ("Rename_Images" if what == "videos" else "puppet_mask")
    shutil.rmtree(folder / KEYS[3])
    with pytest.raises(DataNotFoundError) as error:
        read_jhmdb(root)
    for text in (f"1 of 42 {what} of JHMDB-21 are missing in {folder}: {KEYS[3]}", "data/README", "allow_missing=True"):
        assert text in str(error.value)
    with caplog.at_level(logging.DEBUG):
        annotations = read_jhmdb(root, allow_missing=True)
    assert f"1 of 42 {what}" in caplog.text
    assert f"missing {what}: {KEYS[3]}" in caplog.text
    if what == "videos":
        assert {video.key for video in annotations.videos} == {*KEYS} - {KEYS[3]}
    else:
        assert [video.key for video in annotations.videos if video.masks_path is None] == [KEYS[3]]
    (root / "JHMDB-GT.pkl").unlink()
    assert {video.key for video in read_jhmdb(root, allow_missing=True).videos} == {*KEYS} - {KEYS[3]}


def test_a_folder_with_none_of_the_videos_is_an_error_even_if_missing_ones_are_allowed(root: Path) -> None:
    (root / "Frames").mkdir()
    with pytest.raises(DataNotFoundError, match="42 of 42 videos"):
        read_jhmdb(root, video_root=root / "Frames", allow_missing=True)
    with pytest.raises(DataNotFoundError, match="42 of 42 silhouettes"):
        read_jhmdb(root, mask_root=root / "Frames", allow_missing=True)


def test_absent_paths_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError) as error:
        read_jhmdb(tmp_path, allow_missing=True)
    for text in ("Rename_Images", "JHMDB-GT.pkl", "splits", "puppet_mask", "data/README.md"):
        assert text in str(error.value)
    with pytest.raises(DataNotFoundError, match=r"other\.pkl"):
        read_jhmdb(tmp_path, annotation_file=tmp_path / "other.pkl")


def test_an_absent_folder_of_silhouettes_is_an_error_if_it_was_given(whole: Path) -> None:
    with pytest.raises(DataNotFoundError, match=r"missing are .*no masks \("):
        read_jhmdb(whole, mask_root=whole / "no masks")


@pytest.mark.parametrize(
    ("choice", "message"),
    [({"fold": 4}, "no fold 4"), ({"fold": 0}, "no fold 0"), ({"split": "val"}, "no split 'val'")],
)
def test_an_unknown_choice_is_a_config_error(whole: Path, choice: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_jhmdb(whole, **choice)


@pytest.mark.parametrize("name", ["jhmdb_batchmix_pgg", "jhmdb_tiny_batchmix_pgg"])
def test_the_configs_read_a_fold(whole: Path, name: str) -> None:
    config = load_config(ROOT / "configs" / f"{name}.py", {"data.root": str(whole), "data.fold": 2})
    assert {video.key for video in build_annotations(config, "train_dataloader").videos} == set(KEYS[1::2])
    assert {video.key for video in build_annotations(config, "test_dataloader").videos} == set(KEYS[::2])


@pytest.mark.slow
def test_the_tiny_config_trains(whole: Path, tmp_path: Path) -> None:
    options = {
        "data.root": str(whole),
        "data.split": "train",
        "train_dataloader.num_workers": 0,
        "train_dataloader.batch_size": 8,
        "train_dataloader.dataset.num_frames_clip": 8,
        "train_dataloader.dataset.transform.size": (48, 64),
        "model.data_preprocessor.mixer.probability": 1.0,
        "model.penalty.interval": 1,
        "model.detector.backbone.width": 8,
        "model.detector.num_samples": 4,
        "train_cfg.max_epochs": 1,
        "param_scheduler.0.total_steps": 3,
    }
    train(str(ROOT / "configs" / "jhmdb_tiny_batchmix_pgg.py"), work_dir=str(tmp_path), options=options)
    assert (tmp_path / "epoch_1.pth").is_file()


def real_root(shared: Path, tmp_path: Path, annotated: bool) -> Path:
    """Lay the real clip out as the official archives have it."""
    (tmp_path / "Rename_Images/catch").mkdir(parents=True)
    (tmp_path / "Rename_Images" / REAL).symlink_to(shared / "media/jhmdb_real/Goal_Keeping_frames")
    (tmp_path / "puppet_mask").symlink_to(shared / "media/jhmdb_real/puppet_mask")
    if annotated:
        (tmp_path / "JHMDB-GT.pkl").symlink_to(shared / "annotations/jhmdb/JHMDB-GT.pkl")
    else:
        (tmp_path / "splits").mkdir()
        for name in CLASSES:
            (tmp_path / f"splits/{name}_test_split1.txt").touch()
        (tmp_path / "splits/catch_test_split1.txt").write_text(f"{REAL.split('/')[1]}.avi 1\n")
    return tmp_path


@pytest.mark.data
@pytest.mark.parametrize("video_root", ["Rename_Images", "ReCompress_Videos"])
def test_the_real_clip_is_annotated_alike_by_its_mask_and_by_the_pickle(
    shared: Path, tmp_path: Path, video_root: str
) -> None:
    folders = real_root(shared, tmp_path / "masks", False), real_root(shared, tmp_path / "pickle", True)
    for folder in folders:
        (folder / "ReCompress_Videos/catch").mkdir(parents=True)
        avi = shared / f"media/jhmdb_real/{REAL.split('/')[1]}.avi"
        (folder / f"ReCompress_Videos/{REAL}.avi").symlink_to(avi)
    made, annotated = (
        next(v for v in read_jhmdb(f, video_root=f / video_root, allow_missing=True).videos if v.key == REAL)
        for f in folders
    )
    assert made.num_frames == annotated.num_frames == 40
    np.testing.assert_array_equal(made.tubes[0].boxes, annotated.tubes[0].boxes)
    np.testing.assert_array_equal(made.tubes[0].frames, annotated.tubes[0].frames)
    assert (made.height, made.width, made.tubes[0].label) == (annotated.height, annotated.width, CLASSES.index("catch"))
    for video in (made, annotated):
        assert read_frames(video.path, [39], num_frames=40).shape == (1, 240, 320, 3)
        assert read_masks(video, [0, 39]).any()


@pytest.mark.data
@pytest.mark.parametrize(("fold", "num_train", "num_test"), [(1, 660, 268), (2, 658, 270), (3, 663, 265)])
def test_the_real_data_set_has_the_published_counts(
    shared: Path, tmp_path: Path, fold: int, num_train: int, num_test: int
) -> None:
    annotation_file = shared / "annotations/jhmdb/JHMDB-GT.pkl"
    for key in pickle.loads(annotation_file.read_bytes(), encoding="latin1")["nframes"]:
        (tmp_path / "Rename_Images" / key).mkdir(parents=True)
    annotations = read_jhmdb(tmp_path, fold=fold, annotation_file=annotation_file)
    assert annotations.classes == CLASSES
    assert len(annotations.videos) == 928
    assert len(annotations.of_split("train").videos) == num_train
    assert len(annotations.of_split("test").videos) == num_test
    lengths = [video.num_frames for video in annotations.videos]
    assert (min(lengths), max(lengths), sum(lengths)) == (
        15,
        40,
        sum(len(video.tubes[0]) for video in annotations.videos),
    )
    assert sum(any(sign in video.key for sign in "!()@+") for video in annotations.videos) == 67
