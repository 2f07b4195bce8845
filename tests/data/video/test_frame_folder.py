import shutil

import cv2
import numpy as np
import pytest

from stal.data.video.frame_folder import folder_table, list_frames
from stal.data.video.reader import read_frames
from stal.errors import VideoReadError


def drop_frame(folder):
    (folder / "00007.png").unlink()
    (folder / "00030.png").unlink()


def drop_first_frames(folder):
    (folder / "00001.png").unlink()
    (folder / "00002.png").unlink()


def add_twin(folder):
    shutil.copy(folder / "00003.png", folder / "3.jpg")


def add_unnumbered(folder):
    shutil.copy(folder / "00003.png", folder / "cover.png")


def add_foreign(folder):
    shutil.copy(folder / "00040.png", folder / "other_00041.png")


def break_image(folder):
    (folder / "00003.png").write_bytes(b"PNG")


def resize_image(folder):
    cv2.imwrite(str(folder / "00003.png"), np.zeros((9, 9, 3), np.uint8))


@pytest.mark.parametrize("indices", [[0, 2], [2]], ids=["with the first", "alone"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (drop_frame, "2 of the frames up to 40 are missing, the first is number 7"),
        (drop_first_frames, "are missing, the first is number 1"),
        (add_twin, "are both frame 3"),
        (add_unnumbered, "cover.png: a frame is named by its number"),
        (add_foreign, "frames of several videos"),
        (break_image, r"00003.png: not an image that can be decoded \(3 bytes\)"),
        (resize_image, "00003.png: 9 x 9 pixels, but 00001.png has 64 x 48"),
    ],
)
def test_a_damaged_folder_of_frames_is_an_error_that_names_the_frame(tmp_path, videos, damage, message, indices):
    folder = shutil.copytree(videos / "folder", tmp_path / "folder")
    damage(folder)
    with pytest.raises(VideoReadError, match=message):
        read_frames(folder, indices)


@pytest.mark.parametrize("first", [0, 1])
def test_a_folder_may_count_from_zero_or_one_without_leading_zeros(tmp_path, picture, numbers, first):
    for index in range(12):
        cv2.imwrite(str(tmp_path / f"img_{index + first}.png"), picture(index)[..., ::-1])
    assert numbers(read_frames(tmp_path, [1, 2, 10])) == [1, 2, 10]


def test_a_folder_that_gets_more_frames_is_listed_anew(tmp_path, picture):
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"{index:05d}.png"), picture(index))
        assert len(list_frames(tmp_path)) == len(folder_table(tmp_path)) == index + 1
