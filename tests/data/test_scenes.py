"""The generated data set: reproducible, exact, and correlated as it says."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest

from stal.data.formats.tubes_json import read_tubes_json
from stal.data.keypoints import read_keypoints
from stal.data.scenes import ACTIONS, SCENES, SPLITS, generate
from stal.data.scenes.actions import stand
from stal.data.scenes.actors import pose_skeleton
from stal.data.scenes.backgrounds import render_background
from stal.data.scenes.generate import choose_actions, choose_scene
from stal.data.scenes.performances import NUM_FRAMES, random_performance
from stal.data.scenes.render import over, render_actors, tight_boxes
from stal.data.scenes.skeletons import HIDDEN, NOT_THERE, SEEN, joint_positions, joint_visibility
from stal.errors import ConfigError
from stal.structures import JOINTS, Annotations, Video

TOOL = str(Path(__file__).parents[2] / "tools" / "make_scenes.py")
WIDTH, HEIGHT, NUM_VIDEOS = 96, 72, 6
TEST_SPLITS = SPLITS[1:]


def make(out: Path, **arguments: object) -> Annotations:
    settings = {"num_videos": NUM_VIDEOS, "seed": 3, "width": WIDTH, "height": HEIGHT} | arguments
    return generate(out, **settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scenes") / "new"
    make(out)
    return out


@pytest.fixture(scope="module")
def annotations(folder: Path) -> Annotations:
    return read_tubes_json(folder / "annotations.json")


def masks_of(video: Video) -> np.ndarray:
    assert video.masks_path is not None
    with np.load(video.masks_path) as archive:
        return archive["masks"]


def files_of(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def test_every_split_has_its_number_of_videos(annotations: Annotations) -> None:
    counts = {split: len(annotations.of_split(split).videos) for split in SPLITS}
    assert counts == {"train": NUM_VIDEOS} | dict.fromkeys(TEST_SPLITS, NUM_VIDEOS // 2)
    assert annotations.classes == tuple(ACTIONS)
    assert len(SCENES) == len(ACTIONS)


def test_videos_decode_to_the_annotated_frames(annotations: Annotations) -> None:
    for video in annotations.videos:
        with av.open(video.path) as container:
            stream = container.streams.video[0]
            shapes = [frame.to_ndarray(format="rgb24").shape for frame in container.decode(video=0)]
            assert stream.codec_context.name == "h264"
            assert stream.average_rate == video.fps == 12.5
        assert shapes == [(HEIGHT, WIDTH, 3)] * video.num_frames
        assert NUM_FRAMES[0] <= video.num_frames <= NUM_FRAMES[1]


def test_boxes_are_the_tight_boxes_of_the_silhouettes(annotations: Annotations) -> None:
    for video in annotations.videos:
        if video.split == "scene_only":
            continue
        masks = masks_of(video)
        assert masks.dtype == np.uint8
        assert masks.shape == (video.num_frames, HEIGHT, WIDTH)
        assert set(np.unique(masks)) <= {0} | {tube.id + 1 for tube in video.tubes}
        for tube in video.tubes:
            for frame, box in zip(tube.frames, tube.boxes, strict=True):
                rows, columns = np.nonzero(masks[frame] == tube.id + 1)
                assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_all_actors_of_a_video_do_the_same_action(annotations: Annotations) -> None:
    for video in annotations.videos:
        assert len({tube.label for tube in video.tubes}) == 1


def test_test_splits_show_the_same_performances(annotations: Annotations) -> None:
    for shown in zip(*(annotations.of_split(split).videos for split in TEST_SPLITS), strict=True):
        reference = shown[0]
        for video in shown[1:]:
            assert video.num_frames == reference.num_frames
            for tube, expected in zip(video.tubes, reference.tubes, strict=True):
                assert (tube.id, tube.label) == (expected.id, expected.label)
                np.testing.assert_array_equal(tube.frames, expected.frames)
                np.testing.assert_array_equal(tube.boxes, expected.boxes)
            if video.split != "scene_only":
                np.testing.assert_array_equal(masks_of(video), masks_of(reference))


def test_scene_only_shows_the_scenes_of_iid_without_actors(annotations: Annotations) -> None:
    iid, scene_only = (annotations.of_split(split).videos for split in ("iid", "scene_only"))
    assert [video.scene for video in scene_only] == [video.scene for video in iid]
    for video in scene_only:
        assert video.tubes
        assert not masks_of(video).any()


def test_files_depend_on_neither_processes_nor_other_splits(folder: Path, tmp_path: Path) -> None:
    make(tmp_path / "two", jobs=2, splits=("train", "anti"))
    expected = files_of(folder)
    made = files_of(tmp_path / "two")
    assert len(made) == 2 * (NUM_VIDEOS + NUM_VIDEOS // 2) + 1
    for name in made.keys() - {"annotations.json"}:
        assert made[name] == expected[name], name


def test_another_seed_gives_other_videos(folder: Path, tmp_path: Path) -> None:
    make(tmp_path, seed=4, num_videos=2, splits=("train",))
    name = "videos/train/00000.mp4"
    assert (tmp_path / name).read_bytes() != (folder / name).read_bytes()


@pytest.mark.parametrize("correlation", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("split", ["train", "iid", "scene_only"])
def test_scenes_agree_with_the_action_as_often_as_asked(split: str, correlation: float) -> None:
    rng, trials, label = np.random.default_rng(0), 2000, 4
    scenes = [choose_scene(rng, split, label, correlation) for _ in range(trials)]
    agreeing = scenes.count(list(SCENES)[label])
    assert abs(agreeing - trials * correlation) <= 4 * np.sqrt(trials * correlation * (1 - correlation))
    assert (set(scenes) == set(SCENES)) == (0 < correlation < 1)


def test_shifted_scenes_are_independent_of_the_action_and_anti_scenes_never_agree() -> None:
    rng, trials = np.random.default_rng(0), 900
    for label, agreeing in enumerate(SCENES):
        shifted = [choose_scene(rng, "shifted", label, 1.0) for _ in range(trials)]
        assert abs(shifted.count(agreeing) - trials / 9) <= 4 * np.sqrt(trials * 8 / 81)
        anti = {choose_scene(rng, "anti", label, 1.0) for _ in range(trials)}
        assert anti == set(SCENES) - {agreeing}


@pytest.mark.parametrize("mixed_actions", [0.0, 0.3, 1.0])
def test_further_actors_do_other_actions_as_often_as_asked_each_equally_often(mixed_actions: float) -> None:
    rng, trials, label = np.random.default_rng(0), 2000, 4
    drawn = np.array([choose_actions(rng, label, mixed_actions) for _ in range(trials)])
    assert (drawn[:, 0] == label).all()
    counts = np.bincount(drawn[:, 1:].flatten(), minlength=9)
    expected = np.full(9, 2 * trials * mixed_actions / 8)
    expected[label] = 2 * trials * (1 - mixed_actions)
    assert (np.abs(counts - expected) <= 4 * np.sqrt(expected * (1 - expected / (2 * trials)))).all()


def test_with_mixed_actions_all_but_the_motions_and_objects_stays(folder: Path, tmp_path: Path) -> None:
    plain = read_tubes_json(folder / "annotations.json").of_split("train")
    mixed = make(tmp_path, mixed_actions=1.0, splits=("train",))
    assert any(len(video.label_set) > 1 for video in mixed.videos)
    for index, (video, before) in enumerate(zip(mixed.videos, plain.videos, strict=True)):
        labels = [tube.label for tube in video.tubes]
        assert labels.count(index % 9) == 1  # all others do something else
        if len(labels) == 1:
            assert (video.scene, video.num_frames) == (before.scene, before.num_frames)
            name = Path("videos") / f"{video.key}.mp4"
            assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_joints_are_written_only_if_asked_and_change_no_other_file(folder: Path, tmp_path: Path) -> None:
    made = make(tmp_path, keypoints=True, splits=("train", "scene_only"))
    expected, files = files_of(folder), files_of(tmp_path)
    assert not any("keypoints" in name for name in expected)
    for name, content in files.items():
        if name.startswith(("videos", "masks")):
            assert content == expected[name], name
    for video in read_tubes_json(tmp_path / "annotations.json").videos:
        joints = read_keypoints(video)
        assert joints.positions.shape == (len(video.tubes), video.num_frames, 17, 2)
        assert joints.tube_ids.tolist() == [tube.id for tube in video.tubes]
        if video.split == "scene_only":
            assert not joints.scores.any()
            continue
        for person, tube in enumerate(video.tubes):
            seen = joints.scores[person, tube.frames] > 0
            low, high = tube.boxes[:, None, :2] - 1, tube.boxes[:, None, 2:] + 1
            points = joints.positions[person, tube.frames]
            assert ((points >= low) & (points <= high)).all(-1)[seen].all()
    assert len(made.videos) == NUM_VIDEOS + NUM_VIDEOS // 2


def test_joints_lie_on_their_actor_and_are_hidden_by_nearer_ones() -> None:
    rng = np.random.default_rng(2)
    performance = random_performance(rng, [0, 3, 5], 160, 120)
    while len(performance.actors) < 3:
        performance = random_performance(rng, [0, 3, 5], 160, 120)
    masks = render_actors(performance, 160, 120).masks
    positions = joint_positions(performance)
    visibility = joint_visibility(positions, masks)
    eyes_and_ears = [JOINTS.index(f"{side}_{name}") for side in ("left", "right") for name in ("eye", "ear")]
    assert (visibility[..., eyes_and_ears] == NOT_THERE).all()
    for actor, frame, joint in np.argwhere(visibility > 0)[::7]:
        x, y = np.floor(positions[actor, frame, joint]).astype(int)
        shown = masks[frame, y, x]
        assert (visibility[actor, frame, joint] == HIDDEN) == (shown > actor + 1)
        around = masks[frame, max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3]
        assert visibility[actor, frame, joint] != SEEN or actor + 1 in around


def test_sides_of_joints_are_the_actors_own() -> None:
    performance = random_performance(np.random.default_rng(0), [3, 3, 3], 160, 120)
    actor = performance.actors[0]
    (left,) = joint_positions(performance)[:1, :, JOINTS.index("left_shoulder")]
    expected = actor.foot + actor.height * actor.skeleton.shoulders[:, 0, :2]
    np.testing.assert_allclose(left, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        ((0.0, 0.0), SEEN),
        ((3.99, 2.99), SEEN),
        ((4.0, 1.0), NOT_THERE),
        ((-0.01, 1.0), NOT_THERE),
        ((2.5, 1.5), HIDDEN),
    ],
)
def test_visibility_of_a_joint(point: tuple[float, float], expected: int) -> None:
    masks = np.zeros((1, 3, 4), np.uint8)
    masks[0, 1, 2] = 2  # the nearer actor
    positions = np.zeros((2, 1, 17, 2), np.float32)
    positions[:, 0, 0] = point
    first, second = joint_visibility(positions, masks)[:, 0, 0].tolist()
    assert first == expected
    assert second == (SEEN if expected == HIDDEN else expected)


@pytest.mark.parametrize("action", [name for name in ACTIONS if ACTIONS[name].prop])
def test_an_action_with_an_object_has_the_motion_of_one_without(action: str) -> None:
    assert ACTIONS[action].motion is ACTIONS[action.split("_")[0]].motion


@pytest.mark.parametrize("motion", [stand, *(action.motion for action in ACTIONS.values())])
@pytest.mark.parametrize("facing", [-1.0, 0.3])
def test_feet_stand_on_the_ground_but_for_the_rise(motion, facing: float) -> None:
    pose = motion(np.linspace(0, 7, 30), facing)
    skeleton = pose_skeleton(pose)
    np.testing.assert_allclose(-skeleton.ankles[..., 1].max(axis=1), pose.rise, atol=1e-12)
    length = np.linalg.norm(skeleton.knees - skeleton.ankles, axis=-1)
    np.testing.assert_allclose(length, length[0, 0])


@pytest.mark.parametrize("scene", SCENES)
def test_every_scene_moves_varies_and_repeats_for_its_seed(scene: str) -> None:
    pan = np.zeros(8)
    one, again, other = (
        render_background(scene, np.random.default_rng(seed), pan, WIDTH, HEIGHT) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert (one[0] != one[-1]).any()
    assert (one != other).any(axis=-1).mean() > 0.2


def test_a_panning_camera_shifts_the_scene() -> None:
    pan = np.array([0.0, 20.0])
    frames = render_background("gym", np.random.default_rng(0), pan, WIDTH, HEIGHT)
    np.testing.assert_array_equal(frames[0][-20:, 20:], frames[1][-20:, :-20])


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [([(0, 0)], [0, 0, 1, 1]), ([(5, 7)], [7, 5, 8, 6]), ([(1, 6), (4, 2)], [2, 1, 7, 5])],
)
def test_tight_boxes_are_half_open(pixels: list[tuple[int, int]], expected: list[int]) -> None:
    silhouettes = np.zeros((1, 6, 8), bool)
    for row, column in pixels:
        silhouettes[0, row, column] = True
    assert tight_boxes(silhouettes).tolist() == [expected]


def test_over_keeps_opaque_fronts_and_shows_backs_through_transparent_ones() -> None:
    front = np.array([[10, 20, 30, 255], [0, 0, 0, 0], [100, 0, 0, 128]], np.uint8)
    back = np.array([[7, 8, 9], [7, 8, 9], [255, 255, 255]], np.uint8)
    assert over(front, back).tolist() == [[10, 20, 30], [7, 8, 9], [227, 127, 127]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_videos": 1}, "number of training videos 1"),
        ({"correlation": 1.1}, r"correlation 1\.1"),
        ({"correlation": float("nan")}, "correlation nan"),
        ({"mixed_actions": -0.1}, r"mixed_actions -0\.1: a probability"),
        ({"seed": -1}, "seed -1"),
        ({"splits": ("train", "test")}, r"splits \['train', 'test'\]: choose some of train, iid"),
        ({"splits": ()}, r"splits \[\]"),
        ({"width": 97}, "size 97x72"),
        ({"height": 62}, "size 96x62"),
        ({"width": 70}, "size 70x72"),
        ({"jobs": 0}, "0 jobs"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(tmp_path: Path, arguments: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_a_folder_in_use_is_replaced_only_if_asked_and_foreign_files_stay(tmp_path: Path) -> None:
    stale, foreign = tmp_path / "videos" / "iid" / "00007.mp4", tmp_path / "videos" / "holiday.mp4"
    stale.parent.mkdir(parents=True)
    for path in (stale, foreign):
        path.touch()
    with pytest.raises(ConfigError, match=r"is not empty.*--overwrite"):
        make(tmp_path)
    make(tmp_path, num_videos=2, splits=("train",), overwrite=True)
    assert not stale.exists()
    assert foreign.exists()
    assert len(read_tubes_json(tmp_path / "annotations.json").videos) == 2


def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is a file"):
        make(tmp_path / "file")


def test_the_tool_prints_a_summary_and_names_errors(tmp_path: Path) -> None:
    command = [sys.executable, TOOL, str(tmp_path / "out"), "--jobs", "1", "--size", "96x72", "--splits", "train"]
    done = subprocess.run([*command, "--videos", "2"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "train" in done.stdout
    again = subprocess.run([*command, "--videos", "2"], capture_output=True, text=True)
    assert again.returncode == 1
    assert re.match(r"error: .* is not empty", again.stderr)


@pytest.mark.parametrize("size", ["160", "160x", "axb", "-160x120"])
def test_the_tool_names_the_form_of_a_size(tmp_path: Path, size: str) -> None:
    done = subprocess.run([sys.executable, TOOL, str(tmp_path), f"--size={size}"], capture_output=True, text=True)
    assert done.returncode == 2
    assert f"argument --size: '{size}' is not of the form WIDTHxHEIGHT, such as 160x120" in done.stderr


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="sends Ctrl-C to a group of processes, as a terminal does")
def test_an_interrupt_ends_the_tool_and_its_workers_without_a_traceback(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, TOOL, str(out), "--jobs", "2", "--videos", "5000", "--size", "96x72"]
    listen = partial(
        signal.signal, signal.SIGINT, signal.SIG_DFL
    )  # a background job's children are born deaf to Ctrl-C
    tool = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=listen)
    try:
        while tool.poll() is None and not list(out.glob("videos/train/*.mp4")):
            time.sleep(0.05)
        os.killpg(tool.pid, signal.SIGINT)
        _, errors = tool.communicate(timeout=60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(tool.pid, signal.SIGKILL)
    assert tool.returncode == 130
    assert errors.strip() == "interrupted"
    assert len(list(out.glob("videos/train/*.mp4"))) < 100
