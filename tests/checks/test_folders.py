"""Folders of frames and paths that are no videos: each is looked into, and none stops the check."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from stal.checks.check import check_data, data_of_json
from stal.checks.frame_images import check_images, read_size
from stal.checks.outputs import write_report
from stal.checks.report import CheckReport
from stal.errors import VideoReadError

NUM_FRAMES, HEIGHT, WIDTH = 20, 240, 320


@pytest.fixture(params=[".png", ".jpg"])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    folder = tmp_path / "frames"
    folder.mkdir()
    for t in range(NUM_FRAMES):
        image = np.random.default_rng(t).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
        cv2.imwrite(str(folder / f"{t + 1:05d}{request.param}"), image)
    return folder


def check_first(document: Any, save: Callable[..., Path], path: str, decode: bool = True) -> CheckReport:
    """Check a data set of one video, which is at `path`."""
    document["videos"] = document["videos"][:1]
    document["classes"] = document["classes"][:1]
    file = save(document)
    document["videos"][0]["path"] = path
    file.write_text(json.dumps(document))
    report = check_data(data_of_json(file), decode=decode)
    write_report(report, file.parent / "out")
    return report


def image_of(folder: Path, number: int) -> Path:
    return next(folder.glob(f"{number:05d}.*"))


def test_a_folder_without_a_fault_has_no_finding(document: Any, save: Callable[..., Path], folder: Path) -> None:
    report = check_first(document, save, str(folder))
    assert report.findings == ()
    assert report.records[0].num_decoded == NUM_FRAMES


def dangle(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def shrink(path: Path) -> None:
    cv2.imwrite(str(path), np.zeros((10, 12, 3), np.uint8))


@pytest.mark.parametrize("number", [1, 17])
@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (dangle, "cannot be read"),
        (lambda path: path.write_bytes(b""), "not an image"),
        (lambda path: path.write_text("no image"), "not an image"),
        (cut_off, "cut off"),
        (shrink, "one size"),
    ],
    ids=["dangling link", "no bytes", "no image", "cut off", "another size"],
)
def test_every_image_is_looked_at(
    document: Any,
    save: Callable[..., Path],
    folder: Path,
    break_it: Callable[[Path], None],
    said: str,
    number: int,
) -> None:
    break_it(image_of(folder, number))
    (finding,) = check_first(document, save, str(folder)).findings
    assert (finding.level, finding.code) == ("error", "files-unreadable")
    assert said in finding.examples[0].value
    if not (break_it is shrink and number == 1):  # then the second is the one of another size
        assert f"{number:05d}" in finding.examples[0].value


@pytest.mark.parametrize("decode", [True, False])
@pytest.mark.parametrize("path", ["/dev/null", "pipe", "empty"])
def test_a_path_that_is_no_video_is_one_finding(
    document: Any, save: Callable[..., Path], tmp_path: Path, path: str, decode: bool
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").mkdir()
    report = check_first(document, save, path, decode)
    if path == "empty" and not decode:
        return  # it is there, and no more is asked for
    (finding,) = report.findings
    assert (finding.level, finding.code) == ("error", "files-unreadable")
    assert path in finding.examples[0].value


def test_sizes_are_those_that_images_decode_to(tmp_path: Path) -> None:
    for name in ("a.png", "b.jpg", "c.webp"):
        cv2.imwrite(str(tmp_path / name), np.zeros((30, 50, 3), np.uint8))
    assert {read_size(tmp_path / name) for name in ("a.png", "b.jpg", "c.webp")} == {(50, 30)}


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_no_header_raises_anything_but_an_error_of_stal(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"1{suffix}"
    cv2.imwrite(str(path), np.zeros((8, 8, 3), np.uint8))
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(VideoReadError):
            check_images([path])
