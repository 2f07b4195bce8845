"""The page: whole, alone, and safe to open whatever the annotation says."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stal.checks.annotation_table import AnnotationTable, table_of
from stal.checks.check import DataToCheck, check_data, data_of_annotations
from stal.checks.distributions import box_map, count_lengths, count_sizes
from stal.checks.outputs import print_report, write_report
from stal.checks.report import CheckReport
from stal.checks.samples import choose_samples, draw_samples
from stal.data.scenes.generate import generate
from stal.structures import Annotations, Tube, Video

Check = Callable[[Any], CheckReport]
ATTACK = '<script>alert("x")</script><img src=x onerror=alert(1)>[bold]'


class Tags(HTMLParser):
    """Collects tags and attributes, and sees whether every tag is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Annotations:
    return generate(tmp_path_factory.mktemp("scenes"), 9, splits=("train",), width=96, height=72)


def page_of(report: CheckReport, folder: Path) -> str:
    write_report(report, folder)
    return (folder / "index.html").read_text(encoding="utf-8")


def assert_alone(page: str) -> None:
    tags = Tags(page)
    assert tags.open == []
    assert not {"script", "link", "iframe", "object", "form"} & set(tags.tags)
    sources = [value or "" for name, value in tags.attributes if name in ("src", "href")]
    assert all(source.startswith("data:image/") for source in sources)
    assert not any(name.startswith("on") for name, _ in tags.attributes)
    assert not re.search(r"url\(|@import", page)


def test_the_page_shows_tubes_of_every_class_and_loads_nothing(scenes: Annotations, tmp_path: Path) -> None:
    report = check_data(data_of_annotations(scenes, "scenes"))
    page = page_of(report, tmp_path)
    assert_alone(page)
    assert page.count("data:image/jpeg") == 2 * 9
    assert page.count("data:image/png") == 1
    for video in scenes.videos:
        assert video.key in page


def test_hostile_names_stay_text(document: dict[str, Any], check: Check, tmp_path: Path, capsys: Any) -> None:
    document["classes"][0] = ATTACK
    video = document["videos"][0]
    video.update(key=ATTACK, split=ATTACK)
    video["tubes"][0]["label"] = ATTACK
    document["videos"][1]["tubes"][0]["label"] = ATTACK + "?"
    report = check(document)
    page = page_of(report, tmp_path / "page")
    assert_alone(page)
    assert "&lt;script&gt;" in page
    print_report(report)
    assert "[bold]" in capsys.readouterr().out


def test_data_that_cannot_be_read_have_a_page_too(tmp_path: Path) -> None:
    report = check_data(DataToCheck("a.py", refusal="the folder is <gone>"))
    page = page_of(report, tmp_path)
    assert_alone(page)
    assert "the folder is &lt;gone&gt;" in page
    assert report.has_errors


def test_frames_of_findings_are_shown_with_what_is_wrong(scenes: Annotations) -> None:
    video = scenes.videos[0]
    outside = Tube(0, np.array([3]), np.array([[-9, 0, 20, 20]], np.float32), id=77)
    videos = (Video(**vars(video) | {"tubes": (*video.tubes, outside), "masks_path": None}), *scenes.videos[1:])
    report = check_data(data_of_annotations(Annotations(scenes.classes, videos), "scenes"))
    found, _ = choose_samples(report)
    (picture,) = draw_samples(report, found)
    assert (picture.sample.frame, picture.sample.why) == (3, "boxes-outside")
    assert len(picture.actors) >= 1
    assert picture.jpeg.startswith(b"\xff\xd8")


def test_what_was_not_opened_is_not_drawn(scenes: Annotations, tmp_path: Path) -> None:
    page = page_of(check_data(data_of_annotations(scenes, "scenes"), decode=False), tmp_path)
    assert "data:image/jpeg" not in page
    assert "no video was opened" in page


def table_with(*boxes: tuple[float, float, float, float]) -> AnnotationTable:
    tubes = tuple(Tube(0, np.array([0]), np.array([box], np.float32), id=number) for number, box in enumerate(boxes))
    return table_of(Annotations(("a",), (Video("v", Path("v"), 1, 48, 64, tubes=tubes),)))


def test_the_map_of_boxes_is_the_share_of_boxes_that_cover_a_place() -> None:
    counts = box_map(table_with((0, 0, 32, 48), (0, 0, 64, 24)))
    assert counts.shape == (48, 64)
    np.testing.assert_allclose(counts[0, [0, 31, 32, 63]], [1, 1, 0.5, 0.5])
    np.testing.assert_allclose(counts[47, [0, 31, 32, 63]], [0.5, 0.5, 0, 0])


@pytest.mark.parametrize("boxes", [(), ((-9, -9, -1, -1),)], ids=["no box", "outside"])
def test_the_map_of_nothing_is_empty(boxes: tuple[tuple[float, float, float, float], ...]) -> None:
    assert box_map(table_with(*boxes)).max() == 0


def test_sizes_and_lengths_are_counted() -> None:
    table = table_with((0, 0, 64, 48), (0, 0, 5, 4), (0, 0, 1, 1))
    assert [count for _, count in count_sizes(table) if count] == [2, 1]
    assert count_sizes(table)[-1] == ("over 50 %", 1)
    assert count_lengths(table)[0] == ("1 to 7", 3)
