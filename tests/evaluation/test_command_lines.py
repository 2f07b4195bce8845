"""tools/evaluate.py and tools/compare.py as they are typed."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


def tool(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / f"{name}.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)


def test_evaluate_writes_numbers_and_plots_and_says_where(dump: Path, tmp_path: Path) -> None:
    out, plots = tmp_path / "metrics.json", tmp_path / "plots"
    done = tool("evaluate", "--detections", dump, "--draws", "20", "--out", out, "--plots", plots)
    assert done.returncode == 0, done.stderr
    assert "75.00" in done.stdout
    assert str(out) in done.stdout
    assert json.loads(out.read_text())["protocol"]["name"] == "voc"
    assert (plots / "frames_error_budget.png").is_file()


def test_compare_prints_differences(dump: Path, tmp_path: Path) -> None:
    with np.load(dump) as arrays:
        better = dict(arrays)
    better["det_class"] = np.where(better["det_video"] == 1, 1, better["det_class"])  # what was confused
    np.savez(tmp_path / "better.npz", **better)
    done = tool("compare", dump, tmp_path / "better.npz", "--draws", "20", "--out", tmp_path / "comparison.json")
    assert done.returncode == 0, done.stderr
    assert "+25.00" in done.stdout
    written = json.loads((tmp_path / "comparison.json").read_text())
    assert written["metrics"]["frame_mAP@0.5"]["difference"] == pytest.approx(25)
    assert written["metrics"]["video_mAP@0.5"]["difference"] == 0


def test_invalid_detections_end_in_one_message_or_are_dropped(dump: Path, tmp_path: Path) -> None:
    with np.load(dump) as arrays:
        broken = dict(arrays)
    broken["det_score"] = broken["det_score"].copy()
    broken["det_score"][[3, 5]] = np.nan
    np.savez(tmp_path / "broken.npz", **broken)
    refused = tool("evaluate", "--detections", tmp_path / "broken.npz")
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr.startswith("error: ")
    assert "det_score, row 3" in refused.stderr
    assert "2 of 80" in refused.stderr
    assert "Traceback" not in refused.stderr
    dropped = tool("evaluate", "--detections", tmp_path / "broken.npz", "--drop-invalid", "--draws", "0")
    assert dropped.returncode == 0
    assert "dropped 2: det_score" in dropped.stdout


@pytest.mark.parametrize("name", ["evaluate", "compare"])
def test_help_ends_with_an_example(name: str) -> None:
    assert f"python tools/{name}.py" in tool(name, "--help").stdout
