import shutil
import struct
import zlib

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


def empty_image(folder):
    (folder / "00003.png").write_bytes(b"")


def claim_a_huge_image(folder):
    content = bytearray((folder / "00003.png").read_bytes())
    content[16:24] = struct.pack(">2I", 2**20, 2**20)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    (folder / "00003.png").write_bytes(content)


def resize_image(folder):
    cv2.imwrite(str(folder / "00003.png"), np.zeros((9, 9, 3), np.uint8))


def break_link(folder):
    (folder / "00003.png").unlink()
    (folder / "00003.png").symlink_to("/nowhere/3.png")


def break_first_link(folder):
    (folder / "00001.png").unlink()
    (folder / "00001.png").symlink_to("/nowhere/1.png")


def nest_folder(folder):
    (folder / "00003.png").unlink()
    (folder / "00003.png").mkdir()


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
        (break_link, r"00003.png: leads to /nowhere/3.png, and cannot be opened \(No such file or directory\)"),
        (break_first_link, r"00001.png: leads to /nowhere/1.png, and cannot be opened"),
        (nest_folder, r"00003.png: cannot be opened \(Is a directory\)"),
        (empty_image, r"00003.png: not an image that can be decoded \(0 bytes\)"),
        (claim_a_huge_image, "00003.png: not an image that can be decoded"),
        (resize_image, "00003.png: 9 x 9 pixels, but 00001.png has 64 x 48"),
    ],
)
def test_a_damaged_folder_of_frames_is_an_error_that_names_the_frame(tmp_path, videos, damage, message, indices):
    folder = shutil.copytree(videos / "folder", tmp_path / "folder")
    damage(folder)
    with pytest.raises(VideoReadError, match=message):
        read_frames(folder, indices)


@pytest.mark.parametrize("method", ["iterdir", "stat"])
def test_a_folder_that_may_not_be_opened_is_an_error(videos, tmp_path, monkeypatch, method):
    folder = shutil.copytree(videos / "folder", tmp_path / "folder")

    def refuse(path, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(folder), method, refuse)
    with pytest.raises(VideoReadError, match=r"folder: cannot be opened \(Permission denied\)"):
        list_frames(folder)


@pytest.mark.parametrize("first", [0, 1])
def test_a_folder_may_count_from_zero_or_one_without_leading_zeros(tmp_path, picture, numbers, first):
    for index in range(12):
        cv2.imwrite(str(tmp_path / f"img_{index + first}.png"), picture(index)[..., ::-1])
    assert numbers(read_frames(tmp_path, [1, 2, 10])) == [1, 2, 10]


def test_a_folder_that_gets_more_frames_is_listed_anew(tmp_path, picture):
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"{index:05d}.png"), picture(index))
        assert len(list_frames(tmp_path)) == len(folder_table(tmp_path)) == index + 1
