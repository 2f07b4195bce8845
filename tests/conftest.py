"""Fixtures that every test may use; array shapes in signatures are checked while the tests run."""

import os
from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import pytest

jaxtyping.install_import_hook("stal", "beartype.beartype")


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
