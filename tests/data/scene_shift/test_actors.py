import dataclasses
from pathlib import Path

import numpy as np
import pytest

from stal.data.scene_shift.actors import find_actors
from stal.errors import DataNotFoundError
from stal.structures import Tube, Video

HEIGHT, WIDTH = 40, 60


def video_with(*tubes: Tube, masks_path: Path | None = None) -> Video:
    return Video("a", Path("a.mp4"), 8, HEIGHT, WIDTH, tubes=tubes, masks_path=masks_path)


def area(mask: np.ndarray) -> list[int]:
    """The tight box of a mask, which is all inside of it."""
    rows, columns = np.nonzero(mask)
    box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert mask.sum() == (box[2] - box[0]) * (box[3] - box[1])
    return [int(side) for side in box]


def test_a_video_without_tubes_has_no_actors() -> None:
    actors = find_actors(video_with(), "box")
    assert not actors.annotated(3).any()
    assert not actors.to_remove(3).any()
    assert actors.span() == range(8)


def test_an_actor_is_cut_out_where_it_has_a_box_and_removed_on_every_frame() -> None:
    frames, boxes = np.array([2, 4]), np.array([[10, 10, 20, 20], [20, 10, 30, 20]], np.float32)
    actors = find_actors(video_with(Tube(0, frames, boxes)), "box")
    assert actors.span() == range(2, 5)
    assert [actors.annotated(frame).any() for frame in range(8)] == [
        False,
        False,
        True,
        False,
        True,
        False,
        False,
        False,
    ]
    assert area(actors.annotated(2)) == [10, 10, 20, 20]
    # a tenth of the box on each side, and 2 pixels
    assert [area(actors.to_remove(frame))[0] for frame in range(8)] == [7, 7, 7, 12, 17, 17, 17, 17]
    assert area(actors.to_remove(0)) == [7, 7, 23, 23]


@pytest.mark.parametrize(("box", "pixels"), [([0, 0, 1, 1], [0, 0, 1, 1]), ([-9, 3.5, 2.5, 99], [0, 3, 3, HEIGHT])])
def test_boxes_are_rounded_outwards_and_cut_at_the_border(box: list[float], pixels: list[int]) -> None:
    tube = Tube(0, np.array([0]), np.array([box], np.float32))
    assert area(find_actors(video_with(tube), "box").annotated(0)) == pixels


def test_silhouettes_are_of_all_actors_and_boxes_stand_in_where_they_are_unknown(tmp_path: Path) -> None:
    masks = np.zeros((8, HEIGHT, WIDTH), np.uint8)
    masks[0, 5:8, 5:8], masks[0, 20:22, 30:33], masks[1] = 1, 2, 255
    np.savez_compressed(tmp_path / "masks.npz", masks=masks)
    tube = Tube(0, np.array([1]), np.array([[10, 10, 20, 20]], np.float32))
    actors = find_actors(video_with(tube, masks_path=tmp_path / "masks.npz"), "silhouette")
    np.testing.assert_array_equal(actors.annotated(0), masks[0] > 0)
    assert area(actors.annotated(1)) == [10, 10, 20, 20]
    assert not actors.to_remove(2).any()
    assert area(actors.to_remove(1)) == [7, 7, 23, 23]


def test_missing_silhouettes_are_named() -> None:
    with pytest.raises(DataNotFoundError, match="video a"):
        find_actors(video_with(), "silhouette")


def test_what_is_removed_holds_what_is_annotated() -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 30, (5, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(1, 25, (5, 2))], axis=1).astype(np.float32)
    video = video_with(Tube(0, np.array([0, 1, 3, 6, 7]), boxes))
    actors = find_actors(dataclasses.replace(video, width=50), "box")
    for frame in range(8):
        assert (actors.to_remove(frame) >= actors.annotated(frame)).all()
