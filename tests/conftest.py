"""Fixtures that every test may use; array shapes in signatures are checked while the tests run."""

import multiprocessing
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import jaxtyping
import pytest

jaxtyping.install_import_hook("stal", "beartype.beartype")
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it
hypothesis.settings.register_profile("stal", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("stal")


@pytest.fixture(scope="session", autouse=True)
def _frame_tables_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests' frame tables out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STAL_CACHE", str(tmp_path_factory.mktemp("frame_tables")))
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """Root of the prepared real data, or skip: it is third-party material that the project cannot ship."""
    root = os.environ.get("STAL_TEST_DATA")
    if not root or not Path(root).is_dir():
        pytest.skip("STAL_TEST_DATA does not name the folder of real videos and annotations")
    return Path(root)


@pytest.fixture(scope="session")
def browser_program() -> str:
    """Path of a browser of the system, or skip."""
    from stal.report.picture import BROWSERS

    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"there is no browser: none of {', '.join(BROWSERS)} is installed")
    return path


@pytest.fixture(scope="session")
def browser(browser_program: str) -> Iterator[Any]:
    """A headless browser of the system, by Playwright."""
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox"] if os.getuid() == 0 else []
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=browser_program, args=arguments, timeout=120_000)
        yield started
        started.close()
        # Workers of a loader that a test left behind hold what they were forked with open, also the pipe by whose end
        # the browser's driver knows that it is to end: it would be waited for until they do.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch takes the death of a worker for an error
        for worker in multiprocessing.active_children():
            worker.kill()
