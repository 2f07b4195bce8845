from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stal.data.scene_shift.donors import choose_donors, random_source, scene_name
from stal.errors import AnnotationError
from stal.structures import Annotations, Tube, Video

CLASSES = ("walk", "jump", "run")


def video(key: str, *labels: int, scene: str | None = None, split: str = "test") -> Video:
    box = np.array([[0, 0, 4, 4]], np.float32)
    tubes = tuple(Tube(label, np.array([0]), box, id=id) for id, label in enumerate(labels))
    return Video(key, Path(f"{key}.mp4"), 3, 8, 8, tubes=tubes, scene=scene, split=split)


@pytest.mark.parametrize(
    ("shown", "name"),
    [
        (video("a", 1, scene="beach"), "beach"),
        (video("a", scene=""), ""),
        (video("a", 1), "jump"),
        (video("a", 2, 0, 2), "walk+run"),
        (video("a"), "a"),
    ],
)
def test_a_scene_is_named_by_the_annotation_or_the_classes_or_the_video(shown: Video, name: str) -> None:
    assert scene_name(shown, CLASSES) == name


def test_donors_share_neither_class_nor_scene_but_the_split() -> None:
    rng = np.random.default_rng(0)
    videos = [
        video(
            str(number),
            *rng.choice(3, rng.integers(0, 3), replace=False).tolist(),
            scene=[None, "beach", "gym"][rng.integers(3)],
            split=["train", "test"][rng.integers(2)],
        )
        for number in range(60)
    ]
    donors = choose_donors(Annotations(CLASSES, tuple(videos)), 0, "box")
    assert donors.keys() == {video.key for video in videos}
    for host in videos:
        donor = donors[host.key]
        assert not {tube.label for tube in host.tubes} & {tube.label for tube in donor.tubes}
        assert scene_name(host, CLASSES) != scene_name(donor, CLASSES)
        assert host.split == donor.split


def test_donors_depend_on_the_seed_and_not_on_the_order_of_videos() -> None:
    videos = [video(f"{label}{number}", label) for label in range(3) for number in range(9)]

    def keys(seed: int, videos: list[Video]) -> dict[str, str]:
        donors = choose_donors(Annotations(CLASSES, tuple(videos)), seed, "box")
        return {key: donor.key for key, donor in donors.items()}

    assert keys(0, videos) == keys(0, videos[::-1])
    assert keys(0, videos) != keys(1, videos)


def test_scenes_come_about_equally_often_however_many_videos_show_them() -> None:
    videos = [video(f"h{i}", 0) for i in range(400)] + [video(f"j{i}", 1) for i in range(30)] + [video("r", 2)]
    donors = choose_donors(Annotations(CLASSES, tuple(videos)), 0, "box")
    num_run = sum(donors[f"h{i}"].key == "r" for i in range(400))
    assert abs(num_run - 200) < 40


@pytest.mark.parametrize(
    "videos",
    [
        (video("a", 0),),
        (video("a", 0), video("b", 0)),
        (video("a", 0), video("b", 1, split="train")),
        (video("a", 0, scene="beach"), video("b", 1, scene="beach")),
        (video("a", 0, 1), video("b", 1, 2)),
    ],
    ids=["one video", "one class", "another split", "one scene", "a class in common"],
)
def test_a_video_that_none_can_lend_a_scene_is_named(videos: tuple[Video, ...]) -> None:
    with pytest.raises(AnnotationError, match="video a: no other video of split 'test' has another class and another"):
        choose_donors(Annotations(CLASSES, videos), 0, "box")


def test_chance_depends_on_the_seed_and_the_key() -> None:
    draws = {random_source(seed, key).integers(2**60) for seed in (0, 1) for key in ("a", "b", "")}
    assert len(draws) == 6
    assert random_source(1, "a").integers(2**60) in draws


def covered(key: str, label: int) -> Video:
    whole = np.array([[0, 0, 8, 8]], np.float32)
    return replace(video(key), tubes=(Tube(label, np.array([0]), whole),))


def test_a_video_whose_actors_hide_its_scene_lends_none_but_is_lent_one() -> None:
    videos = [video(f"w{number}", 0) for number in range(20)] + [covered("c", 1), video("j", 1)]
    donors = choose_donors(Annotations(CLASSES, tuple(videos)), 0, "box")
    assert {donors[f"w{number}"].key for number in range(20)} == {"j"}
    assert donors["c"].key.startswith("w")
    with pytest.raises(AnnotationError, match=r"video w0: .* shows it beside its actors"):
        choose_donors(Annotations(CLASSES, tuple(videos[:-1])), 0, "box")


def test_a_video_with_broken_silhouettes_lends_no_scene(tmp_path: Path) -> None:
    masks = {"w": np.zeros((3, 8, 8), np.uint8), "j": np.zeros((3, 8, 8), np.uint8), "b": np.zeros((2, 8, 8), np.uint8)}
    for key, of_video in masks.items():
        np.savez(tmp_path / f"{key}.npz", masks=of_video)
    videos = [replace(video(key, "wjb".index(key)), masks_path=tmp_path / f"{key}.npz") for key in "wjb"]
    donors = choose_donors(Annotations(CLASSES, tuple(videos)), 0, "silhouette")
    assert {key: donor.key for key, donor in donors.items()} in (
        {"w": "j", "j": "w", "b": "w"},
        {"w": "j", "j": "w", "b": "j"},
    )
