"""What a number owes to where it was made: the code, the versions of libraries, the machine."""

import hashlib
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import stal
from stal.data.processes import num_available_cores

_LIBRARIES = ("torch", "numpy", "mmengine", "pytorchvideo", "av", "opencv-python")
_SOURCES = ("stal", "configs", "tools", "experiments", "setup.cfg")  # what numbers may depend on


def describe_origin() -> dict[str, Any]:
    """Return the commit, whether files differ from it, a digest of the package, the versions and the machine."""
    root = Path(stal.__file__).parents[1]
    commit = _git(root, "rev-parse", "HEAD")
    return {
        "commit": commit or "unknown",
        "dirty": None if commit is None else bool(_git(root, "status", "--porcelain", "--", *_SOURCES)),
        "code": code_digest(root / "stal"),
        "versions": {
            "stal": stal.__version__,
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in _LIBRARIES},
        },
        "machine": {
            "system": platform.system(),
            "processor": _processor(),
            "num_cores": num_available_cores(),
        },
    }


def code_digest(package: Path) -> str:
    """Return a digest of the names and contents of all Python files in a folder."""
    total = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        total.update(path.relative_to(package).as_posix().encode() + b"\0")
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:12]


def _git(root: Path, *arguments: str) -> str | None:
    """Return what git says, None if there is no git or no repository."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _processor() -> str:
    """Return the name of the processor, or at least its kind."""
    if os.path.isfile("/proc/cpuinfo"):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
