"""Which plots an evaluation makes, and of what."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from matplotlib.figure import Figure

from stal.metrics.average_precision import RankedHits
from stal.metrics.diagnosis import Diagnosis
from stal.visualize.error_plots import plot_calibration, plot_confusion, plot_error_budget, plot_fix_gains
from stal.visualize.plot_style import save_figure
from stal.visualize.plots import plot_per_class, plot_precision_recall, plot_protocols

TRUE_POSITIVES = "true_positives"


def draw_diagnosis(
    summary: Mapping[str, Any], diagnoses: Mapping[str, Diagnosis], classes: Sequence[str], folder: Path
) -> None:
    """Write all plots of one evaluation to a folder, as `frames_*.png`, `tubes_*.png` and `per_class.png`.

    Args:
        summary: as of `summarize`.
        diagnoses: what is behind it, of `frames` and `tubes`.
        classes: names of the classes.
        folder: is made if it is not there.
    """
    for name, figure in plot_diagnosis(summary, diagnoses, classes):
        save_figure(figure, folder / f"{name}.png")


def plot_diagnosis(
    summary: Mapping[str, Any], diagnoses: Mapping[str, Diagnosis], classes: Sequence[str]
) -> Iterator[tuple[str, Figure]]:
    """Yield all plots of one evaluation, by their names: `per_class`, and `frames_*` and `tubes_*` of each diagnosis.

    Arguments are as of `draw_diagnosis`.
    """
    about = _about(summary)
    names = _plotted(summary)
    per_class = {label: {name: values[name] for name in names} for label, values in summary["per_class"].items()}
    intervals = summary.get("per_class_intervals")
    yield "per_class", plot_per_class(per_class, intervals=intervals, title=f"Average precision\n{about}")
    for kind, diagnosis in diagnoses.items():
        area = summary["protocol"]["frame" if kind == "frames" else "video"]["area"]
        for name, figure in _figures(diagnosis, classes, kind, about, envelope=area != "trapezoid"):
            yield f"{kind}_{name}", figure


def draw_protocols(by_protocol: Mapping[str, Mapping[str, Any]], folder: Path) -> None:
    """Write `protocols.png`: the same detections under every protocol, whose values are as of `summarize`."""
    names = _plotted(next(iter(by_protocol.values())))
    rows = {protocol: {name: summary[name] for name in names} for protocol, summary in by_protocol.items()}
    num_videos = next(iter(by_protocol.values()))["num_videos"]
    title = f"The same detections under every protocol\n{num_videos:,} videos"
    save_figure(plot_protocols(rows, title=title), folder / "protocols.png")


def _figures(
    diagnosis: Diagnosis, classes: Sequence[str], kind: str, about: str, *, envelope: bool
) -> Iterator[tuple[str, Figure]]:
    """Yield the plots of the diagnosis of `frames` or `tubes`, by their name."""
    about = f"{kind} at IoU {diagnosis.iou_threshold}; {about}"
    areas, bins = diagnosis.error_areas, diagnosis.calibration
    precisions = {label: float(100 * ap) for label, ap in zip(classes, areas.average_precision, strict=True)}
    curves = {label: _curve(ranked) for label, ranked in zip(classes, diagnosis.ranked, strict=True)}
    parts = {TRUE_POSITIVES: 100 * areas.average_precision}
    parts |= {name: 100 * values for name, values in areas.errors.items()}
    gains = {name: 100 * value for name, value in diagnosis.fix_gains.mean.items()}
    title = f"Precision and recall\n{about}"
    yield "precision_recall", plot_precision_recall(curves, precisions, envelope=envelope, title=title)
    yield "error_budget", plot_error_budget(parts, classes, title=f"Error budget\n{about}")
    yield "fix_gains", plot_fix_gains(gains, title=f"What fixing an error would bring\n{about}")
    yield "confusion", plot_confusion(diagnosis.confusion, classes, title=f"Confusion of actions\n{about}")
    yield (
        "calibration",
        plot_calibration(
            bins.edges[:-1],
            bins.edges[1:],
            bins.precision,
            bins.counts,
            bins.expected_error,
            title=f"Calibration of scores\n{about}",
        ),
    )


def _curve(ranked: RankedHits) -> tuple[Float64[np.ndarray, " P"], Float64[np.ndarray, " P"]]:
    """Return recall and precision of one class after each detection; none without ground truth."""
    num_ranked = len(ranked.hits) if ranked.num_truth else 0
    num_true = np.cumsum(ranked.hits[:num_ranked])
    return num_true / max(ranked.num_truth, 1), num_true / np.arange(1, num_ranked + 1)


def _plotted(summary: Mapping[str, Any]) -> list[str]:
    """Return the headline numbers that are plotted, as all would be too many: the first of frames, one of tubes."""
    of_frames = [name for name in summary if name.startswith("frame_mAP")]
    of_tubes = [name for name in summary if name.startswith("video_mAP")]
    return [*of_frames[:1], "video_mAP@0.5" if "video_mAP@0.5" in of_tubes else of_tubes[0]]


def _about(summary: Mapping[str, Any]) -> str:
    """Return what the numbers rest on."""
    protocol = summary["protocol"]
    return f"{summary['num_videos']:,} videos, protocol {protocol['name']} ({protocol['hash']})"
