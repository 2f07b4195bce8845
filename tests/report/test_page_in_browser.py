"""The page in a real browser: it loads from disk, plays, and its parts move together."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from stal.report.page import render

HOSTILE = "</script><b id=injected>&'\""  # as in the page
FRAMES_BEFORE_THE_BOX = 2
PATIENCE_SECONDS = 60.0  # with a busy machine

# Centres and numbers of the pixels of a view with the colour of boxes, and of those with the colour of strong heat.
LOOK = """([clip, side]) => {
    const view = document.querySelectorAll(".clip")[clip].querySelectorAll(".view")[side];
    const { width, height } = view;
    const { data } = view.getContext("2d").getImageData(0, 0, width, height);
    const centre = (isWanted) => {
        let [num, x, y] = [0, 0, 0];
        for (let i = 0; i < width * height; i++) {
            const [r, g, b] = [data[4 * i], data[4 * i + 1], data[4 * i + 2]];
            if (isWanted(r, g, b)) { num++; x += i % width; y += Math.floor(i / width); }
        }
        return num ? [num, (x / num) * 128 / width, (y / num) * 96 / height] : [0, null, null];
    };
    return {
        box: centre((r, g, b) => Math.abs(r - 86) < 6 && Math.abs(g - 180) < 6 && Math.abs(b - 233) < 6),
        heat: centre((r, g, b) => r > 220 && g > 220 && b > 120 && b < 210),
    };
}"""


@dataclass
class Opened:
    """The page in a tab, and what the browser said."""

    tab: Any
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def until(self, expression: str, argument: Any = None) -> None:
        """Wait until an expression is true; Playwright's own way would need a page that evaluates texts."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not self.tab.evaluate(expression, argument):
            assert time.monotonic() < end, f"not in {PATIENCE_SECONDS} s: {expression}"
            self.tab.wait_for_timeout(20)

    def seek(self, clip: int, frame: int) -> None:
        """Move a clip's slider, and wait until its frame is drawn."""
        self.tab.evaluate(
            """([clip, frame]) => {
                const slider = document.querySelectorAll(".clip")[clip].querySelector(".slider");
                slider.value = frame;
                slider.dispatchEvent(new Event("input", { bubbles: true }));
            }""",
            [clip, frame],
        )
        self.until(
            "([clip, frame]) => document.querySelectorAll('.clip')[clip].dataset.frame === String(frame)", [clip, frame]
        )

    def visible_clips(self) -> list[str]:
        return self.tab.evaluate(
            "[...document.querySelectorAll('.clip:not([hidden])')].map((card) => card.dataset.kind + card.dataset.clip)"
        )

    def column(self, number: int) -> list[str]:
        return self.tab.evaluate(
            "(n) => [...document.querySelectorAll('[data-table=classes] tbody tr:not([hidden])')]"
            ".map((row) => row.cells[n].textContent.trim())",
            number,
        )


@pytest.fixture(scope="module")
def path(page, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("report") / "index.html"
    path.write_text(render(page), encoding="utf-8")
    return path


@pytest.fixture
def opened(browser, path) -> Iterator[Opened]:
    tab = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light")
    tab.set_default_timeout(1000 * PATIENCE_SECONDS)
    opened = Opened(tab)
    tab.on("console", lambda message: opened.console.append(message.text))
    tab.on("pageerror", lambda error: opened.console.append(str(error)))
    tab.on("request", lambda request: opened.requests.append(request.url))
    tab.goto(path.as_uri())
    opened.until("[...document.querySelectorAll('.clip')].every((card) => card.dataset.frame)")
    yield opened
    tab.close()


def test_it_loads_from_disk_without_errors_and_asks_the_network_for_nothing(opened, path):
    assert opened.console == []
    assert [url for url in opened.requests if not url.startswith("data:")] == [path.as_uri()]


def test_both_detectors_are_there(opened):
    names = opened.tab.locator(".clip").first.locator("figcaption b").all_inner_texts()
    assert names == ["plain", "pgg"]


@pytest.mark.parametrize("frame", [2, 11, 21])
def test_the_slider_moves_boxes_and_heat_of_both_detectors_together(opened, frame):
    opened.tab.locator("[name=truth]").uncheck()
    opened.tab.locator("[name=opacity]").fill("1")
    opened.seek(0, frame)
    for side, shift in ((0, 0.0), (1, 20.0)):
        seen = opened.tab.evaluate(LOOK, [0, side])
        centre = min(10 + 3 * frame + shift + 10, 128)
        assert seen["heat"][0] > 1000
        assert seen["heat"][1:] == pytest.approx([centre, 45], abs=2)
        # Its name stands above the box, and makes the centre of all that has its colour less sure.
        assert seen["box"][0] > 100
        assert seen["box"][1] == pytest.approx(centre, abs=8)


def test_where_there_is_no_box_there_is_no_heat_either(opened):
    opened.tab.locator("[name=truth]").uncheck()
    opened.seek(0, 0)
    assert opened.tab.evaluate(LOOK, [0, 0]) == {"box": [0, None, None], "heat": [0, None, None]}
    assert "not in this window" in opened.tab.locator(".readout").first.inner_text()


def test_boxes_and_heat_can_be_switched_off(opened):
    opened.tab.locator("[name=opacity]").fill("0")
    opened.tab.locator("[name=boxes]").uncheck()
    opened.seek(0, 11)
    assert opened.tab.evaluate(LOOK, [0, 0]) == {"box": [0, None, None], "heat": [0, None, None]}


def test_a_clip_plays_and_stops(opened):
    play = opened.tab.locator(".clip").first.locator(".play")
    opened.seek(0, 0)
    play.click()
    opened.until("Number(document.querySelector('.clip').dataset.frame) > 3")
    play.click()
    opened.until("document.querySelector('.clip .play').textContent === '▶'")
    assert opened.tab.locator(".clip").first.locator(".slider").input_value() == opened.tab.locator(
        ".clip"
    ).first.get_attribute("data-frame")


def test_the_arrow_keys_move_the_slider(opened):
    opened.seek(0, 5)
    opened.tab.locator(".clip .slider").first.focus()
    opened.tab.keyboard.press("ArrowRight")
    opened.until("document.querySelector('.clip').dataset.frame === '6'")
    assert opened.tab.locator(".clip .slider").first.input_value() == "6"


def test_a_header_sorts_its_column_by_value_and_what_is_empty_stays_last(opened):
    header = opened.tab.get_by_role("button", name="AP")
    header.click()
    assert opened.column(1) == ["10", "9", "-1", "-"]
    header.click()
    assert opened.column(1) == ["-1", "9", "10", "-"]
    opened.tab.locator("[data-table=classes]").get_by_role("button", name="class").click()
    assert opened.column(0) == [HOSTILE, "a9", "b10", "c"]


def test_a_table_is_filtered_by_text_and_by_class(opened):
    filters = opened.tab.locator("[data-table=classes] .filters")
    filters.locator("input").fill("B1")
    assert opened.column(0) == ["b10"]
    filters.locator("input").fill("")
    filters.locator("select").select_option(HOSTILE)
    assert opened.column(0) == [HOSTILE]
    assert filters.locator("output").inner_text() == "1 of 4"


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("kind", "best", ["best0", "best2"]),
        ("action", HOSTILE, ["worst1"]),
        ("chosen", "pgg", ["worst1", "best2"]),
        ("text", "V/2", ["best2"]),
        ("text", "nowhere", []),
    ],
)
def test_clips_are_filtered_by_kind_class_detector_and_text(opened, name, value, shown):
    field = opened.tab.locator(f"#clip-filters [name={name}]")
    field.fill(value) if name == "text" else field.select_option(value)
    assert opened.visible_clips() == shown


def test_a_hostile_name_is_text_and_nothing_else(opened):
    assert opened.tab.locator("#injected").count() == 0
    assert HOSTILE in opened.tab.locator(".clip").nth(1).inner_text()


def test_colours_follow_the_system_and_the_button(opened):
    theme = "document.documentElement.dataset.theme"
    assert opened.tab.evaluate(theme) == "light"
    opened.tab.emulate_media(color_scheme="dark")
    opened.until(f"{theme} === 'dark'")
    opened.tab.locator("#theme").click()
    assert opened.tab.evaluate(theme) == "light"


def test_nothing_hangs_over_the_edge_of_a_narrow_window(opened):
    opened.tab.set_viewport_size({"width": 400, "height": 800})
    assert opened.tab.evaluate("document.documentElement.scrollWidth") <= 400


def test_every_image_and_control_has_a_name(opened):
    nameless = """[...document.querySelectorAll("img, canvas, button, input, select")].filter((part) =>
        !(part.alt || part.getAttribute("aria-label") || part.textContent.trim() || part.labels?.length))"""
    assert opened.tab.evaluate(f"{nameless}.map((part) => part.outerHTML)") == []


def test_the_tube_in_space_turns_by_keys_and_follows_the_slider(opened):
    looks = "document.querySelector('.clip .space').toDataURL()"
    opened.seek(0, 5)
    opened.tab.locator(".clip .turn").first.click()
    first = opened.tab.evaluate(looks)
    opened.tab.locator(".clip .space").first.focus()
    opened.tab.keyboard.press("ArrowLeft")
    turned = opened.tab.evaluate(looks)
    opened.seek(0, 15)
    assert len({first, turned, opened.tab.evaluate(looks)}) == 3
