"""How far attributions of a checkpoint can be trusted, and how much of them is the actor's: a table of scores."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float32
from rich.console import Console
from rich.progress import track
from torch import Tensor

from stal.attribution.baselines import Baseline
from stal.attribution.methods import Method, attribute
from stal.attribution.perturbation import perturbation_curves
from stal.attribution.random_weights import with_random_weights
from stal.attribution.roi_score import RoiScore
from stal.attribution.score_means import MeanScore, mean_scores
from stal.attribution.scores import gradient_tube, points_at_actor, rank_correlation
from stal.errors import ConfigError
from stal.evaluation.gradient_scores_table import print_gradient_scores
from stal.evaluation.outputs import write_json
from stal.evaluation.report import print_note
from stal.metrics.bootstrap import CONFIDENCE
from stal.models.detector import TubeDetector
from stal.seeing.keyframe_actors import KeyframeActor, ShownSet

Row = Method | Literal["random_map"]
"""What is scored: a method, or the baseline, a map of random numbers, which knows neither the clip nor the network."""

_SCORES = (
    "inside_share",
    "volume_share",
    "points_at_actor",
    "insertion_auc",
    "deletion_auc",
    "random_weights_correlation",
)
_BASELINE: Baseline = "blur"


def measure_gradient_scores(
    config_path: str,
    checkpoint: str,
    *,
    split: str | None = None,
    methods: Sequence[Method] = ("input_gradient",),
    min_actors: int = 64,
    tolerance_pixels: int = 0,
    work_dir: str | None = None,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Score the attributions of annotated actors, each for its own class at its annotated boxes.

    Clips are taken evenly from the whole split until they show enough actors on their keyframes. The scores are printed
    and written to `gradient_scores.json` in the work directory, of another set than the config's own split to
    `gradient_scores_<set>.json`.

    Args:
        config_path: the config file that the checkpoint was trained with.
        checkpoint: the checkpoint, or a work directory, whose last one is taken.
        split: the split, or another set as `read_tested_sets` takes it; None for the split that the config tests on.
        methods: of attribution, see `attribute`.
        min_actors: number of actors, or all if there are fewer.
        tolerance_pixels: of the pointing game, in pixels of the clip.
        work_dir: None for `work_dirs/<config>`.
        options: settings of the config to change.
        seed: of the random weights, the random map, SmoothGrad's noise and the bootstrap.

    Returns:
        What the file holds: of each method, and of `random_map`, which is what the others are compared with, the means
        over all actors (`all`) and over those of each class (`classes`), as fractions with 95 % intervals:

        - `inside_share`: share of the attribution's energy in the actor's boxes.
        - `volume_share`: the boxes' share of the voxels.
        - `points_at_actor`: how often the most salient voxel is the actor's.
        - `insertion_auc`, `deletion_auc`: see `perturbation_curves`.
        - `random_weights_correlation`: rank correlation of the map with that of a network with random weights.

        And how they were measured.

    Raises:
        ConfigError: a method is unknown or none is named, or the split shows no actor.
    """
    unknown = [method for method in methods if method not in get_args(Method)]
    if unknown or not methods:
        raise ConfigError(f"methods {', '.join(unknown) or '(none)'}: name some of {', '.join(get_args(Method))}")
    shown = ShownSet.load(config_path, checkpoint, split, work_dir, options)
    random_detector = with_random_weights(shown.model.detector, torch.Generator().manual_seed(seed))
    rows: dict[Row, list[list[float]]] = {method: [] for method in methods}
    rows["random_map"] = []
    generators = {
        name: torch.Generator().manual_seed(seed) for name in rows
    }  # no row depends on which others there are
    labels, video_keys = [], []
    actors = track(
        shown.actors(min_actors), description="scoring actors", total=min_actors, console=Console(stderr=True)
    )
    for actor in actors:
        labels.append(actor.label)
        video_keys.append(actor.video_key)
        for name, of_rows in rows.items():
            learned, unlearned = (
                _attribute(detector, actor, name, generators[name])
                for detector in (shown.model.detector, random_detector)
            )
            of_rows.append(_score(shown.model.detector, actor, learned, unlearned, tolerance_pixels))
    keys, videos = np.unique(video_keys, return_inverse=True)
    classes = shown.tested.annotations.classes
    table = {
        "methods": {
            name: _means(np.array(of_rows), videos.astype(np.int64), np.array(labels), classes, seed)
            for name, of_rows in rows.items()
        },
        "num_actors": len(labels),
        "num_videos": len(keys),
        "set": shown.tested.given,
        "config": config_path,
        "checkpoint": str(checkpoint),
        "tolerance_pixels": tolerance_pixels,
        "baseline": _BASELINE,
        "confidence": CONFIDENCE,
        "seed": seed,
    }
    is_own = shown.tested.given == shown.config.test_dataloader.dataset.split
    out = Path(shown.config.work_dir) / f"gradient_scores{'' if is_own else f'_{shown.tested.name}'}.json"
    write_json(out, table)
    print_gradient_scores(table)
    print_note(f"numbers: {out}")
    return table


def _attribute(
    detector: TubeDetector, actor: KeyframeActor, row: Row, generator: torch.Generator
) -> Float32[Tensor, "_ T H W"]:
    """Return the attribution of an actor for its own class."""
    if row == "random_map":
        return torch.rand((1, *actor.mask.shape), generator=generator).to(actor.mask.device)
    return attribute(detector, actor.clip, actor.tubelet, actor.label, method=row, generator=generator)


def _score(
    detector: TubeDetector,
    actor: KeyframeActor,
    learned: Float32[Tensor, "_ T H W"],
    unlearned: Float32[Tensor, "_ T H W"],
    tolerance_pixels: int,
) -> list[float]:
    """Return the `_SCORES` of an actor's attribution; `unlearned` is that of a network with random weights."""
    tube = gradient_tube(learned, actor.mask)
    score = RoiScore(detector, actor.tubelet, actor.label)
    curves = perturbation_curves(score, actor.clip, tube.saliency, baseline=_BASELINE)
    return [
        tube.inside_share,
        tube.volume_share,
        float(points_at_actor(tube.saliency, actor.mask, tolerance_pixels=tolerance_pixels)),
        curves.insertion_auc,
        curves.deletion_auc,
        rank_correlation(tube.saliency, gradient_tube(unlearned, actor.mask).saliency),
    ]


def _means(
    scores: np.ndarray, videos: np.ndarray, labels: np.ndarray, classes: Sequence[str], seed: int
) -> dict[str, Any]:
    """Return the means of one method, as the file holds them."""
    of_all, of_classes = mean_scores(scores, videos, labels, seed=seed)

    def named(means: list[MeanScore], num_actors: int) -> dict[str, Any]:
        of_scores = {name: mean._asdict() for name, mean in zip(_SCORES, means, strict=True)}
        return {"num_actors": num_actors, **of_scores}

    return {
        "all": named(of_all, len(labels)),
        "classes": {classes[label]: named(means, int((labels == label).sum())) for label, means in of_classes.items()},
    }
