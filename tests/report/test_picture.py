import shutil

import numpy as np
import pytest

from stal.errors import ConfigError, DataNotFoundError
from stal.report.page import render
from stal.report.picture import draw_report_picture, look_at_clips


@pytest.fixture
def written(page, tmp_path):
    path = tmp_path / "index.html"
    path.write_text(render(page), encoding="utf-8")
    return path


def test_the_picture_shows_the_clips_of_a_kind(browser, written):
    best, worst = (look_at_clips(browser, written, kind) for kind in ("best", "worst"))
    assert best.shape == (900, 1280, 3)
    assert (best != worst).any()
    assert len(np.unique(best.reshape(-1, 3), axis=0)) > 100


def test_a_report_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(DataNotFoundError, match=r"report.html is not there: make it with tools/report.py"):
        draw_report_picture(tmp_path / "report.html", tmp_path / "report.png")


def test_a_machine_without_a_browser_is_an_error(written, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ConfigError, match=r"none of chromium, .* is installed"):
        draw_report_picture(written, tmp_path / "report.png")
