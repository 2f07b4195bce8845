from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib._pylab_helpers import Gcf
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from stal.errors import ConfigError, ShapeError
from stal.metrics.average_precision import RankedHits, class_average_precision
from stal.metrics.error_budget import ERRORS
from stal.metrics.protocol import FrameRules
from stal.metrics.tide import FALSE_NEGATIVES, FALSE_POSITIVES
from stal.visualize.error_plots import plot_calibration, plot_confusion, plot_error_budget, plot_fix_gains
from stal.visualize.plot_style import ERROR_COLOURS, NO_GROUND_TRUTH, save_figure
from stal.visualize.plots import plot_per_class, plot_precision_recall, plot_protocols

TITLE = "A title\n12 videos, 34 detections; protocol voc (f8099665)"
NAMES = ("walk", "talk to (e.g., self, a person, a group)", "pay $5 or $6", "carry_hold")
PARTS = ("true_positives", *ERRORS)
SIZES = pytest.mark.parametrize("num_classes", [1, 3, 24, 80])


def classes(num_classes: int) -> list[str]:
    return [f"{k} {NAMES[k % len(NAMES)]}" for k in range(num_classes)]


def random_scores(num_classes: int, *metrics: str) -> dict[str, dict[str, float | None]]:
    """Scores of which the last class, unless it is the only one, has none."""
    draw = np.random.default_rng(0)
    scores = {name: {metric: 100 * draw.random() for metric in metrics} for name in classes(num_classes)}
    if num_classes > 1:
        scores[classes(num_classes)[-1]] = dict.fromkeys(metrics)
    return scores


def random_parts(num_classes: int) -> dict[str, np.ndarray]:
    values = 100 * np.random.default_rng(0).dirichlet(np.ones(len(PARTS)), num_classes)
    values[1:][-1:] = np.nan
    return dict(zip(PARTS, values.T.copy(), strict=True))


def curve(hits: Sequence[int], num_truth: int) -> tuple[np.ndarray, np.ndarray]:
    true = np.cumsum(hits, dtype=np.float64)
    return true / num_truth, true / np.arange(1, len(hits) + 1)


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text)]


def row_names(axes: Axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def bars_by_label(axes: Axes) -> dict[str, list]:
    return {container.get_label(): list(container) for container in axes.containers}


def every_figure(num_classes: int) -> list[Figure]:
    names, draw = classes(num_classes), np.random.default_rng(0)
    counts = draw.integers(0, 9, (num_classes, num_classes + 1))
    counts[1:][-1:] = 0
    curves = {name: curve(draw.integers(0, 2, 30), 30) for name in names}
    scores = random_scores(num_classes, "frame", "video")
    edges = np.linspace(0, 1, 11)
    return [
        plot_precision_recall(curves, {name: row["frame"] for name, row in scores.items()}, title=TITLE),
        plot_per_class(scores, title=TITLE),
        plot_protocols(scores, title=TITLE),
        plot_error_budget(random_parts(num_classes), names, title=TITLE),
        plot_fix_gains({name: 5 * draw.random() for name in ERRORS}, title=TITLE),
        plot_confusion(counts, names, title=TITLE),
        plot_calibration(edges[:-1], edges[1:], draw.random(10), draw.integers(1, 99, 10), 0.1, title=TITLE),
    ]


@SIZES
@pytest.mark.filterwarnings("error")
def test_plots_are_titled_and_nothing_of_them_is_cut_off_or_overlaps(num_classes):
    for figure in every_figure(num_classes):
        figure.draw_without_rendering()
        assert {"A title", "12 videos, 34 detections; protocol voc (f8099665)"} <= set(texts(figure))
        canvas, drawn = figure.bbox, figure.get_tightbbox().transformed(figure.dpi_scale_trans)
        assert drawn.x0 >= canvas.x0 - 1 and drawn.x1 <= canvas.x1 + 1
        assert drawn.y0 >= canvas.y0 - 1 and drawn.y1 <= canvas.y1 + 1
        for axes in figure.axes:
            names = sorted((box.y0, box.y1) for box in (row.get_window_extent() for row in axes.get_yticklabels()))
            assert all(above[0] > below[1] - 0.2 * (below[1] - below[0]) for below, above in pairwise(names))


def test_long_titles_are_wrapped():
    figure = plot_fix_gains({"time": 1.0}, title="word " * 30 + "\n" + "word " * 50)
    assert sum(set(text.split()) == {"word"} for text in texts(figure)) > 5
    figure.draw_without_rendering()
    assert max(text.get_window_extent().x1 for text in figure.texts) < figure.bbox.x1


def test_a_dollar_in_a_name_is_no_formula():
    figure = plot_per_class({"pay $5 or $6": {"AP": 1.0}}, title="$1 and $2")
    assert "$1 and $2" in texts(figure)
    assert row_names(figure.axes[0]) == [r"pay \$5 or \$6"]  # which is drawn without the backslashes


def test_files_are_the_same_each_time(tmp_path):
    first, second, again = (tmp_path / "new" / f"{name}.png" for name in ("first", "second", "again"))
    for figure, same_figure in zip(every_figure(3), every_figure(3), strict=True):
        save_figure(figure, first)
        save_figure(figure, second)
        save_figure(same_figure, str(again))
        assert first.read_bytes() == second.read_bytes() == again.read_bytes()
        assert first.read_bytes().startswith(b"\x89PNG")
        assert b"tEXt" not in first.read_bytes()  # nor date, nor version


def test_no_plot_touches_what_is_global():
    before = dict(matplotlib.rcParams)
    every_figure(3)
    assert dict(matplotlib.rcParams) == before
    assert not Gcf.figs


@pytest.mark.parametrize("hits", [[1], [0, 1], [1, 0, 1, 1, 0], [0, 0], []])
def test_the_area_under_a_bold_curve_is_the_average_precision(hits):
    num_truth = 4
    figure = plot_precision_recall({"a": curve(hits, num_truth)}, {"a": 0.0}, title=TITLE)
    raw, envelope = figure.axes[0].lines
    assert np.array_equal(raw.get_xydata(), np.column_stack(curve(hits, num_truth)))
    assert envelope.get_drawstyle() == "steps-pre"
    recall, precision = envelope.get_xydata().T
    ranked = RankedHits(np.arange(len(hits)), np.array(hits, bool), num_truth)
    assert (np.diff(recall) * precision[1:]).sum() == pytest.approx(class_average_precision(ranked, FrameRules()))


@pytest.mark.parametrize("hits", [[1], [0, 1], [1, 0, 1, 1, 0], []])
def test_without_envelope_the_bold_area_is_that_of_trapezoids(hits):
    num_truth = 4
    figure = plot_precision_recall({"a": curve(hits, num_truth)}, {"a": 0.0}, envelope=False, title=TITLE)
    (line,) = figure.axes[0].lines
    recall, precision = line.get_xydata().T
    ranked = RankedHits(np.arange(len(hits)), np.array(hits, bool), num_truth)
    expected = class_average_precision(ranked, FrameRules(area="trapezoid"))
    assert np.trapezoid(precision, recall) == pytest.approx(expected)


def test_without_ground_truth_there_is_no_mean():
    figure = plot_precision_recall({"a": curve([], 1)}, {"a": None}, title=TITLE)
    assert figure.legends[0].get_title().get_text() == "AP in percent"


def test_up_to_twelve_curves_are_told_apart_and_listed_from_the_best():
    aps = {f"c{k}": float(k) for k in range(12)}
    axes = plot_precision_recall({name: curve([1, 0], 2) for name in aps}, aps, title=TITLE).axes[0]
    drawn = [line for line in axes.lines if not line.get_label().startswith("_")]
    assert [line.get_label() for line in drawn] == [f"{k}.0  c{k}" for k in reversed(range(12))]
    assert len({(line.get_color(), line.get_linestyle()) for line in drawn}) == 12


def test_of_more_curves_the_best_and_the_worst_three_are_named():
    aps = {**{f"c{k}": float(k) for k in range(13)}, "absent": float("nan"), "none": None}
    figure = plot_precision_recall({name: curve([1, 0], 2) for name in aps}, aps, title=TITLE)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    best_and_worst = ["12.0  c12", "11.0  c11", "10.0  c10", "2.0  c2", "1.0  c1", "0.0  c0"]
    assert labels == [*best_and_worst, "7 other classes", f"{NO_GROUND_TRUTH}: 2 of 15"]
    assert figure.legends[0].get_title().get_text() == "AP in percent, mean 6.0"
    assert len([line for line in figure.axes[0].lines if len(line.get_xdata())]) == 7 + 2 * 6


def test_curves_and_scores_are_of_the_same_classes():
    with pytest.raises(ShapeError, match="'b'"):
        plot_precision_recall({"a": curve([1], 1)}, {"a": 100.0, "b": 0.0}, title=TITLE)


@SIZES
def test_the_bars_of_classes_are_as_long_as_their_scores(num_classes):
    scores = random_scores(num_classes, "frame", "video")
    figure = plot_per_class(scores, title=TITLE)
    drawn, rows = {"frame": [], "video": []}, []
    for axes in figure.axes:
        rows += row_names(axes)
        for label, bars in bars_by_label(axes).items():
            drawn[label.split(":")[0]] += [bar.get_width() for bar in bars]
    ordered = sorted(scores.values(), key=lambda row: np.inf if row["frame"] is None else -row["frame"])
    for metric, widths in drawn.items():
        assert np.array_equal(widths, np.array([row[metric] for row in ordered], float), equal_nan=True)
    assert [row.split()[0] for row in rows] == [
        next(n for n in scores if scores[n] is row).split()[0] for row in ordered
    ]
    assert texts(figure).count(NO_GROUND_TRUTH) == (num_classes > 1)
    assert len(figure.axes) == (2 if num_classes == 80 else 1)


def test_lines_stand_at_the_means_of_the_classes_with_ground_truth():
    scores = {"a": {"x": 10.0, "y": 1.0}, "b": {"x": 20.0, "y": None}, "c": {"x": None, "y": None}}
    figure = plot_per_class(scores, title=TITLE)
    assert [line.get_xdata()[0] for line in figure.axes[0].lines] == [15.0, 1.0]
    assert {"x: mean 15.0", "y: mean 1.0"} <= set(texts(figure))
    assert texts(figure).count("none") == 1  # y of b
    assert texts(figure).count(NO_GROUND_TRUTH) == 1  # c


def test_whiskers_span_the_intervals():
    scores = {"a": {"x": 10.0, "y": 1.0}, "b": {"x": 20.0, "y": 2.0}}
    figure = plot_per_class(scores, intervals={"b": {"x": (15.0, 30.0), "y": None}}, title=TITLE)
    lines = [c.get_segments() for c in figure.axes[0].collections if isinstance(c, LineCollection)]
    spans = [segment[:, 0].tolist() for segments in lines for segment in segments if segment.shape == (2, 2)]
    assert spans == [[15.0, 30.0]]


@pytest.mark.parametrize("plot", [plot_per_class, plot_protocols])
def test_rows_have_the_same_scores(plot):
    with pytest.raises(ShapeError, match=r"'b' has the metrics \['y'\]"):
        plot({"a": {"x": 1.0}, "b": {"y": 1.0}}, title=TITLE)
    with pytest.raises(ShapeError, match="no scores"):
        plot({}, title=TITLE)


def test_protocols_are_dots_at_their_scores_on_one_scale():
    rows = {"voc": {"frame": 90.0, "video": 50.0}, "yowov3": {"frame": 95.0, "video": None}}
    rows["act"] = {"frame": 88.0, "video": 51.0}
    figure = plot_protocols(rows, title=TITLE)
    frame, video = figure.axes
    assert row_names(frame) == ["yowov3", "voc", "act"]
    assert frame.lines[0].get_xdata().tolist() == [95.0, 90.0, 88.0]
    assert np.array_equal(video.lines[0].get_xdata(), [np.nan, 50.0, 51.0], equal_nan=True)
    assert np.ptp(frame.get_xlim()) == pytest.approx(np.ptp(video.get_xlim()))
    assert {"95.0", "50.0", "not defined", "percent; spread 7.0", "percent; spread 1.0"} <= set(texts(figure))


@pytest.mark.parametrize("score", [None, 0.0, 100.0])
def test_one_protocol_is_a_plot(score):
    figure = plot_protocols({"voc": {"frame": score}}, title=TITLE)
    assert ("not defined" if score is None else f"{score:.1f}") in texts(figure)


def test_every_error_has_a_colour_of_its_own():
    assert set(ERROR_COLOURS) == {*PARTS, FALSE_POSITIVES, FALSE_NEGATIVES}
    assert len(set(ERROR_COLOURS.values())) == len(ERROR_COLOURS)


@SIZES
def test_the_bars_of_a_budget_are_its_parts_end_to_end(num_classes):
    parts = random_parts(num_classes)
    figure = plot_error_budget(parts, classes(num_classes), title=TITLE)
    order = np.argsort(-parts["true_positives"], kind="stable")
    panels = np.array_split(order, len(figure.axes))
    for axes, shown in zip(figure.axes, panels, strict=True):
        end = np.zeros(len(shown) + 1)
        for label, bars in bars_by_label(axes).items():
            name = label.replace(" ", "_")
            widths = np.array([np.nanmean(parts[name]), *parts[name][shown]])
            assert np.allclose([bar.get_width() for bar in bars], widths, rtol=1e-12, equal_nan=True)
            assert np.allclose([bar.get_x() for bar in bars], np.where(np.isnan(widths), np.nan, end), equal_nan=True)
            assert {to_hex(bar.get_facecolor()) for bar in bars} == {ERROR_COLOURS[name]}
            end += widths
        assert np.allclose(end[~np.isnan(end)], 100)
        assert row_names(axes)[0] == "mean"
    assert texts(figure).count(NO_GROUND_TRUTH) == (num_classes > 1)


def test_a_budget_without_any_ground_truth_says_so():
    figure = plot_error_budget({name: np.full(2, np.nan) for name in PARTS}, ["a", "b"], title=TITLE)
    assert texts(figure).count(NO_GROUND_TRUTH) == 3  # of the mean too


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        ({"true_positives": np.array([50.0, 100.0])}, ShapeError, "'a' sum to 50.000"),
        ({"true_positives": np.array([100.0])}, ShapeError, "1 values of each part for 2 classes"),
        ({"true positives": np.array([100.0, 100.0])}, ConfigError, "'true positives'"),
        ({}, ConfigError, "no errors"),
    ],
)
def test_a_budget_that_cannot_be_right_is_refused(parts, error, message):
    with pytest.raises(error, match=message):
        plot_error_budget(parts, ["a", "b"], title=TITLE)


def test_the_bars_of_gains_are_as_long_as_the_gains():
    gains = {FALSE_NEGATIVES: 9.0, "time": -0.5, "localization": 2.0, "missed": float("nan"), "other": 4.25}
    figure = plot_fix_gains(gains, title=TITLE)
    (axes,) = figure.axes
    assert row_names(axes) == ["other", "localization", "missed", "time", "false negatives"]
    (bars,) = axes.containers
    assert np.array_equal([bar.get_width() for bar in bars], [4.25, 2.0, np.nan, -0.5, 9.0], equal_nan=True)
    names = ["other", "localization", "missed", "time", FALSE_NEGATIVES]
    assert [to_hex(bar.get_facecolor()) for bar in bars] == [ERROR_COLOURS[name] for name in names]
    assert axes.get_xlim()[0] < -0.5 and axes.get_xlim()[1] > 9
    assert {"+4.2", "+2.0", "-0.5", NO_GROUND_TRUTH} <= set(texts(figure))


def test_no_gain_is_a_plot_and_an_unknown_error_is_not():
    assert texts(plot_fix_gains(dict.fromkeys(ERRORS, 0.0), title=TITLE)).count("+0.0") == len(ERRORS)
    with pytest.raises(ConfigError, match="'slip'"):
        plot_fix_gains({"slip": 1.0}, title=TITLE)


@SIZES
def test_the_cells_of_a_confusion_are_percents_of_their_row(num_classes):
    counts = np.random.default_rng(0).integers(0, 9, (num_classes, num_classes + 1))
    counts[:, 0] += 1
    counts[1:][-1:] = 0
    figure = plot_confusion(counts, classes(num_classes), title=TITLE)
    cells = figure.axes[0].collections[0].get_array()
    present = counts.sum(axis=1) > 0
    assert np.allclose(cells[present], 100 * counts[present] / counts[present].sum(axis=1, keepdims=True))
    assert cells.mask[~present].all() and not np.ma.getmaskarray(cells)[present].any()
    assert texts(figure).count(NO_GROUND_TRUTH) == (num_classes > 1)
    assert [patch.get_xy() for patch in figure.axes[0].patches] == [(k, k) for k in np.flatnonzero(present)]
    assert figure.axes[0].get_xticklabels()[-1].get_text() == "missed"


@pytest.mark.parametrize(("num_classes", "numbered"), [(12, True), (13, False)])
def test_a_small_confusion_is_numbered(num_classes, numbered):
    figure = plot_confusion(np.eye(num_classes, num_classes + 1, dtype=int), classes(num_classes), title=TITLE)
    assert len(figure.axes) == (1 if numbered else 2)  # otherwise there is a bar of colours
    assert [text.get_text() for text in figure.axes[0].texts] == ["100"] * num_classes * numbered


def test_a_confusion_needs_a_column_for_what_is_missed():
    with pytest.raises(ShapeError, match=r"\(2, 3\) for 3 classes"):
        plot_confusion(np.ones((2, 3), int), ["a", "b", "c"], title=TITLE)


def calibration_bars(figure: Figure) -> tuple[dict[str, list], list]:
    above, below = figure.axes
    return bars_by_label(above), list(below.containers[0])


def test_the_bars_of_a_calibration_are_its_bins():
    edges, fractions = np.array([0.0, 0.25, 0.5, 1.0]), np.array([0.0, np.nan, 0.75])
    figure = plot_calibration(edges[:-1], edges[1:], fractions, np.array([5, 0, 2000]), 0.125, title=TITLE)
    above, below = calibration_bars(figure)
    (empty,) = above.pop("no detections")
    assert (empty.get_x(), empty.get_width()) == (0.25, 0.25)
    (bars,) = above.values()
    assert np.array_equal([bar.get_height() for bar in bars], fractions, equal_nan=True)
    assert [bar.get_x() for bar in bars] == [bar.get_x() for bar in below] == [0.0, 0.25, 0.5]
    assert [bar.get_width() for bar in bars] == [0.25, 0.25, 0.5]
    assert [bar.get_height() for bar in below] == [5, 0, 2000]
    assert figure.axes[1].get_yscale() == "log" and figure.axes[1].get_ylim()[1] > 2000
    assert figure.axes[0].lines[0].get_xydata().tolist() == [[0, 0], [1, 1]]
    assert "expected calibration error: 0.125" in texts(figure)


@pytest.mark.filterwarnings("error")
def test_a_calibration_without_detections_says_so():
    edges = np.linspace(0, 1, 11)
    nothing = np.full(10, np.nan), np.zeros(10, int), float("nan")
    figure = plot_calibration(edges[:-1], edges[1:], *nothing, title=TITLE)
    assert len(calibration_bars(figure)[0]["no detections"]) == 10
    assert {"no detections", "expected calibration error: undefined"} <= set(texts(figure))


def test_scores_that_are_no_probabilities_have_no_diagonal():
    edges = np.linspace(-8, 8, 5)
    figure = plot_calibration(edges[:-1], edges[1:], np.full(4, 0.5), np.full(4, 3), float("nan"), title=TITLE)
    assert not figure.axes[0].lines
    assert figure.axes[0].get_xlim() == (-8, 8)


def test_a_figure_that_cannot_be_written_is_an_error(tmp_path: Path):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(OSError, match=r"a\.png"):
        save_figure(plot_fix_gains({"time": 1.0}, title=TITLE), tmp_path / "a.png")
