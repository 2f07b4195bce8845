import dataclasses

import numpy as np
import pytest

from stal.visualize.tube_page import tube_figure, tube_page
from stal.visualize.tube_space import small_plane


@pytest.fixture
def page(make_view, frames) -> str:
    view = dataclasses.replace(make_view(signed=True), action="</script><b>&")
    return tube_page(view, [small_plane(4, frames[4])])


def test_a_figure_has_surfaces_boxes_and_frames(make_view, frames):
    figure = tube_figure(make_view(signed=True), [small_plane(number, frames[number]) for number in (2, 9)])
    names = ["gradient, positive", "gradient, negative", "boxes", "frame 2", "frame 9"]
    assert [part.name for part in figure.data] == names
    for part in figure.data:
        x, y, z = (np.asarray(axis, np.float32) for axis in (part.x, part.y, part.z))
        assert np.nanmin(x) >= 0 and np.nanmax(x) <= 12
        assert np.nanmin(y) >= 0 and np.nanmax(y) <= 64
        assert np.nanmin(z) >= 0 and np.nanmax(z) <= 48
    assert len(figure.to_json()) < 300_000


def test_a_flat_tube_without_boxes_is_a_figure(make_view):
    nothing = make_view(magnitude=np.zeros((12, 24, 32), np.float32), boxes=np.zeros((12, 4), np.float32))
    assert [part.name for part in tube_figure(nothing, []).data] == ["boxes"]


def test_a_page_loads_nothing_and_escapes_names(page):
    assert "<h1>&lt;/script&gt;&lt;b&gt;&amp;, surest of 3 detections</h1>" in page
    assert "<script src" not in page and "<link" not in page


@pytest.mark.slow
def test_a_browser_draws_the_page_from_disk(page, browser, tmp_path):
    (tmp_path / "tube.html").write_text(page, encoding="utf-8")
    tab = browser.new_page(viewport={"width": 480, "height": 360})
    tab.set_default_timeout(240_000)
    errors, requests = [], []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    tab.on("request", lambda request: requests.append(request.url))
    url = (tmp_path / "tube.html").as_uri()
    tab.goto(url)
    tab.wait_for_selector(".gl-container canvas", state="attached")
    assert tab.locator(".legendtext").all_text_contents() == [
        "gradient, positive",
        "gradient, negative",
        "boxes",
        "frame 4",
    ]
    assert errors == []
    assert requests == [url]
    tab.close()
