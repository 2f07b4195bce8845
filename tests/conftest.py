"""Fixtures that every test may use; array shapes in signatures are checked while the tests run."""

import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Iterator
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
def pixel_backbone() -> Callable[[], Any]:
    """A tiny backbone, twice as coarse as its clips in space and as fine in time, smooth enough for differences."""
    import torch
    from torch import nn

    from stal.models.backbone import OnePathway

    class PixelBackbone(OnePathway):
        slow_channels = fine_channels = 8
        spatial_stride = fine_stride = 2
        norm = "group"
        checkpoint_stages = False

        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv3d(3, 8, (1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))
            self.second = nn.Conv3d(8, 8, 1)

        @property
        def pathway_ends(self) -> tuple[nn.Module, ...]:
            return (self.second,)

        def slow_frames(self, num_frames: int) -> torch.Tensor:
            return torch.arange(num_frames)

        def maps(self, clips: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            features = nn.functional.silu(self.second(nn.functional.silu(self.first(clips))))
            return features, features

    return PixelBackbone


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
