"""The layout of the package: imports go one way, and files stay small."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# A part imports only parts that stand before it: the order is the way of the data.
ORDER = (
    "errors",
    "structures",
    "ops",
    "data",
    "mixing",
    "losses",
    "models",
    "linking",
    "metrics",
    "attribution",
    "visualize",
    "evaluation",
    "checks",
    "engine",
    "seeing",
    "inference",
    "profiling",
    "report",
    "experiments",
    "commands",
)
MAX_LINES = 400


def part_of(path: Path) -> str:
    """The first name below stal/: `stal/ops/boxes.py` is of `ops`, `stal/errors.py` of `errors`."""
    return path.relative_to(ROOT / "stal").parts[0].removesuffix(".py")


def imported_parts(source: str) -> set[str]:
    """The parts of stal that a module imports, inside functions too."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            names = {f"stal.{alias.name}" for alias in node.names}
            modules |= names if node.module == "stal" else {node.module or ""}
    return {module.split(".")[1] for module in modules if module.startswith("stal.")}


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("import stal\nimport os.path", set()),
        ("import stal.ops.boxes as b", {"ops"}),
        ("from stal import linking, errors", {"linking", "errors"}),
        ("def f():\n    from stal.engine.config import load_config", {"engine"}),
    ],
)
def test_imported_parts_sees_every_form_of_import(source: str, parts: set[str]) -> None:
    assert imported_parts(source) == parts


def test_imports_go_one_way() -> None:
    wrong = []
    for path in sorted((ROOT / "stal").rglob("*.py")):
        part = part_of(path)
        if part == "__init__":
            allowed = set()
        else:
            assert part in ORDER, f"{path.relative_to(ROOT)}: give {part} its place in ORDER"
            allowed = set(ORDER[: ORDER.index(part) + 1])
        for imported in sorted(imported_parts(path.read_text()) - allowed - {"__version__"}):
            wrong.append(f"{path.relative_to(ROOT)} imports stal.{imported}")
    assert not wrong, "\n".join(wrong)


def test_every_folder_of_modules_is_a_package() -> None:
    folders = {path.parent for path in (ROOT / "stal").rglob("*.py")}
    missing = sorted(str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").is_file())
    assert not missing, f"without __init__.py, and so not installed: {missing}"


@pytest.mark.parametrize("folder", ["stal", "tools"])
def test_files_stay_small(folder: str) -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in (ROOT / folder).rglob("*.py")
    }
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}
