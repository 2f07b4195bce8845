"""All numbers of one evaluation, as they are written to metrics.json."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from stal.metrics.actor_accuracy import ActorAccuracy, actor_accuracy, describe_actor_accuracy
from stal.metrics.bootstrap import CONFIDENCE, SEED, estimate
from stal.metrics.class_mean import class_means
from stal.metrics.diagnosis import Diagnosis, describe_diagnosis, diagnose
from stal.metrics.headlines import FRAME_THRESHOLDS, VIDEO_THRESHOLDS, headline_values
from stal.metrics.max_box_acc import MaxBoxAccuracy, describe_max_box_accuracy
from stal.metrics.overlaps import OverlapTable, frame_overlaps, tube_overlaps
from stal.metrics.protocol import VOC, Protocol
from stal.metrics.resampling import draw_videos
from stal.metrics.tables import Tables, make_tables
from stal.structures import Annotations, Detections, Tube

Values = Mapping[str, Float64[np.ndarray, "K B"]]  # as of `headline_values`, with the test set itself first


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All numbers of one evaluation.

    Attributes:
        classes: names of the classes.
        video_keys: of the videos, in the order that they are drawn in; None if they are not known.
        values: the mAPs, class by class, and their draws.
        actors: whether actions are told apart, and the draws of that.
        diagnoses: what is behind the mAPs, of `frames` and `tubes`; empty if only headline numbers were asked for.
        summary: what metrics.json holds: see `summarize`, with `frames` and `tubes` as of `describe_diagnosis`.
        maps: how well maps of classes locate actors, and the draws of that; None of a model without maps.
    """

    classes: tuple[str, ...]
    video_keys: tuple[str, ...] | None
    values: Values
    actors: ActorAccuracy
    diagnoses: Mapping[str, Diagnosis]
    summary: dict[str, Any]
    maps: MaxBoxAccuracy | None = None

    @property
    def draws(self) -> dict[str, Float64[np.ndarray, " B"]]:
        """Return every headline number, the mean over classes, which comes first, and its draws, which follow."""
        of_maps = {} if self.maps is None else self.maps.accuracies
        return {name: class_means(of_name) for name, of_name in self.values.items()} | self.actors.accuracies | of_maps


def evaluate(
    annotations: Annotations,
    detections: Mapping[str, Detections],
    tubes: Mapping[str, Sequence[Tube]],
    *,
    protocol: Protocol = VOC,
    half_open: bool = True,
    num_draws: int = 0,
    seed: int = SEED,
    frame_thresholds: Sequence[float] = FRAME_THRESHOLDS,
    video_thresholds: Sequence[float] = VIDEO_THRESHOLDS,
    headlines_only: bool = False,
) -> dict[str, Any]:
    """Compute frame-mAP, video-mAP and the accuracy of actors, and what is behind them.

    Args:
        annotations: the ground truth: the videos that were tested.
        detections: scored boxes by video key; a video that is missing has none.
        tubes: detected tubes by video key; a video that is missing has none.
        protocol: the rules.
        half_open: as for `frame_map`.
        num_draws: bootstrap draws for confidence intervals, usually 1000; 0 for no intervals.
        seed: of the draws.
        frame_thresholds: IoU thresholds of frame-mAP, in (0, 1].
        video_thresholds: those of video-mAP, beside its mean over 0.5:0.95.
        headlines_only: leave out what is behind the numbers.

    Returns:
        What metrics.json holds: see `summarize`, with `frames` and `tubes` as of `describe_diagnosis`.

    Raises:
        StalError: A prediction is of an unknown video, class or frame, or a tube has no score.
        ConfigError: A threshold or the number of draws cannot be.
    """
    classes = annotations.classes
    tables = make_tables(annotations.videos, len(classes), detections=detections, tubes=tubes, half_open=half_open)
    return evaluate_tables(
        tables,
        classes,
        protocol,
        draw_videos(len(tables.num_frames), num_draws, seed),
        seed=seed,
        frame_thresholds=frame_thresholds,
        video_thresholds=video_thresholds,
        headlines_only=headlines_only,
    ).summary


def evaluate_tables(
    tables: Tables,
    classes: Sequence[str],
    protocol: Protocol,
    counts: Float64[np.ndarray, "V B"],
    *,
    seed: int = SEED,
    frame_thresholds: Sequence[float] = FRAME_THRESHOLDS,
    video_thresholds: Sequence[float] = VIDEO_THRESHOLDS,
    headlines_only: bool = False,
    maps: MaxBoxAccuracy | None = None,
) -> Evaluation:
    """Compute all numbers of ground truth and predictions that are tables already.

    Args:
        tables: what is evaluated.
        classes: names of the classes.
        protocol: the rules.
        counts: how often each video counts in each draw, as `draw_videos` gives it.
        seed: what the draws were drawn with.
        frame_thresholds: IoU thresholds of frame-mAP, in (0, 1].
        video_thresholds: those of video-mAP, beside its mean over 0.5:0.95.
        headlines_only: leave out what is behind the numbers.
        maps: how well maps of classes locate actors, with the same draws; None of a model without maps.

    Raises:
        ConfigError: A threshold cannot be.
    """
    values = headline_values(
        tables, protocol, counts, frame_thresholds=frame_thresholds, video_thresholds=video_thresholds
    )
    boxes = frame_overlaps(tables, protocol.frame)
    actors = actor_accuracy(tables, boxes, counts)
    diagnoses = {} if headlines_only else _diagnose_all(tables, boxes, protocol)
    summary = summarize(tables, classes, protocol, values, actors, seed=seed, maps=maps)
    summary |= {kind: describe_diagnosis(diagnosis, classes) for kind, diagnosis in diagnoses.items()}
    return Evaluation(tuple(classes), tables.keys, values, actors, diagnoses, summary, maps)


def _diagnose_all(tables: Tables, boxes: OverlapTable, protocol: Protocol) -> dict[str, Diagnosis]:
    """Return what is behind the numbers of `frames` and, if the protocol has them, of `tubes`, at IoU 0.5."""
    diagnoses = {"frames": diagnose(tables, boxes, protocol.frame)}
    if protocol.video is not None and tables.has_tubes:
        diagnoses["tubes"] = diagnose(tables, tube_overlaps(tables, protocol.video), protocol.video)
    return diagnoses


def summarize(
    tables: Tables,
    classes: Sequence[str],
    protocol: Protocol,
    values: Values,
    actors: ActorAccuracy,
    *,
    seed: int = SEED,
    maps: MaxBoxAccuracy | None = None,
) -> dict[str, Any]:
    """Return the headline numbers, and what they are of.

    Args:
        tables: ground truth and predictions.
        classes: names of the classes.
        protocol: the rules.
        values: the mAPs and, from the second column on, their draws.
        actors: whether actions are told apart, with the same draws.
        seed: of the draws.
        maps: how well maps of classes locate actors, with the same draws; None of a model without maps.

    Returns:
        The mAPs, the accuracies of actors and, if there are maps, those of maps, in percent; `per_class`, the mAPs of
        every class; None (null) where there is no ground truth, or no such metric in the protocol; if there are draws,
        `intervals`, the 95 % confidence intervals of the headline numbers, and `per_class_intervals`; `actors`, as of
        `describe_actor_accuracy`; `max_box_acc`, as of `describe_max_box_accuracy`, if there are maps; the protocol;
        and how much was evaluated.
    """
    means = {name: class_means(of_name) for name, of_name in values.items()} | actors.accuracies
    return {
        **_describe_values(values, means | (maps.accuracies if maps else {}), classes, seed=seed),
        "actors": describe_actor_accuracy(actors, classes),
        **({"max_box_acc": describe_max_box_accuracy(maps)} if maps else {}),
        "protocol": protocol.describe(),
        "num_videos": len(tables.num_frames),
        "num_frames": int(tables.num_frames.sum()),
        "num_truth_boxes": len(tables.truth.frames),
        "num_truth_tubes": len(tables.truth),
        "num_detections": len(tables.boxes),
        "num_tubes": len(tables.tubes),
    }


def mean_over_splits(
    summaries: Sequence[Mapping[str, Any]], values: Sequence[Values], classes: Sequence[str], *, seed: int = SEED
) -> dict[str, Any]:
    """Return the mean of the mAPs over the splits of a data set, as JHMDB-21 is reported.

    The mean of all classes is that of the splits' means; a class that one of the splits leaves out has none of its own.
    The intervals are of the mean: each draw is the mean of one draw of every split.

    Args:
        summaries: what `summarize` returned for each split.
        values: what it was given; the draws of different splits are different ones.
        classes: names of the classes.
        seed: of the draws.

    Returns:
        As of `summarize`, with what was evaluated summed up, and `splits`, the summaries themselves.
    """
    num_columns = min(next(iter(of_split.values())).shape[1] for of_split in values)
    means = {name: np.mean([of_split[name][:, :num_columns] for of_split in values], axis=0) for name in values[0]}
    of_means = {name: np.mean([class_means(v[name][:, :num_columns]) for v in values], axis=0) for name in means}
    return {
        **_describe_values(means, of_means, classes, seed=seed),
        "protocol": summaries[0]["protocol"],
        **{name: sum(s[name] for s in summaries) for name in summaries[0] if name.startswith("num_")},
        "splits": list(summaries),
    }


def _describe_values(
    values: Values, means: Mapping[str, Float64[np.ndarray, " B"]], classes: Sequence[str], *, seed: int
) -> dict[str, Any]:
    """Return the headline numbers, `means`, and those that have `values` class by class, with their intervals."""
    estimates = {name: estimate(mean) for name, mean in means.items()}
    of_classes = {label: {name: estimate(v[k]) for name, v in values.items()} for k, label in enumerate(classes)}
    described: dict[str, Any] = {name: of_name.value for name, of_name in estimates.items()}
    described["per_class"] = {
        label: {name: of_name.value for name, of_name in of_class.items()} for label, of_class in of_classes.items()
    }
    num_draws = next(iter(means.values())).shape[0] - 1
    if num_draws:
        described["intervals"] = {name: dataclasses.asdict(of_name) for name, of_name in estimates.items()}
        described["per_class_intervals"] = {
            label: {name: of_name.interval for name, of_name in of_class.items()}
            for label, of_class in of_classes.items()
        }
        described["bootstrap"] = {"num_draws": num_draws, "seed": seed, "confidence": CONFIDENCE}
    return described
