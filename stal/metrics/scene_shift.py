"""How much worse a detector is where the scene lies: the headline numbers of several test sets, side by side."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from stal.metrics.actor_accuracy import ACTOR_ACCURACY, WORST_GROUP_ACCURACY
from stal.metrics.bootstrap import Estimate, estimate, estimate_drop
from stal.metrics.max_box_acc import MAX_BOX_ACC
from stal.metrics.summary import Evaluation

SHIFT_METRICS = ("frame_mAP@0.5", "video_mAP@0.5", ACTOR_ACCURACY, WORST_GROUP_ACCURACY)


def scene_shift(evaluations: Mapping[str, Evaluation]) -> dict[str, Any]:
    """Return the numbers of every set, and how much lower each is than that of the first set.

    Sets with the same videos by their keys, as sets that are made of another one, are drawn from alike, others
    independently (see `estimate_drop`).

    Args:
        evaluations: by the name of the set, all by one protocol; the first set is what the others are compared with.

    Returns:
        What `scene_shift.json` holds, in percent: `first`, its name; `sets`, of each set its size, the `SHIFT_METRICS`
        (of models with maps of classes also `MaxBoxAccV2-3D`) as of `estimate`, and `actors`, which says what a guess
        gives and which group is the worst; `drops`, of each
        set but the first the same metrics as of `estimate_drop`: first - this, and `is_paired`, whether both were drawn
        from alike; the protocol and the bootstrap. The worst group has a drop only where the two sets have the same
        groups: of others, it would tell of the groups.
    """
    first, *others = evaluations
    summary = evaluations[first].summary
    has_maps = all(evaluation.maps is not None for evaluation in evaluations.values())
    metrics = (*SHIFT_METRICS, MAX_BOX_ACC) if has_maps else SHIFT_METRICS
    draws = {name: of_set.draws for name, of_set in evaluations.items()}
    return {
        "first": first,
        "sets": {
            name: {
                "num_videos": of_set.summary["num_videos"],
                "num_truth_tubes": of_set.summary["num_truth_tubes"],
                **{metric: dataclasses.asdict(estimate(draws[name][metric])) for metric in metrics},
                "actors": of_set.summary["actors"],
            }
            for name, of_set in evaluations.items()
        },
        "drops": {
            name: {
                "is_paired": _is_paired(evaluations[first], evaluations[name]),
                **{
                    metric: dataclasses.asdict(_drop(evaluations[first], evaluations[name], metric))
                    for metric in metrics
                },
            }
            for name in others
        },
        "protocol": summary["protocol"],
        "bootstrap": summary.get("bootstrap"),
    }


def _drop(first: Evaluation, second: Evaluation, metric: str) -> Estimate:
    if metric == WORST_GROUP_ACCURACY and first.actors.groups != second.actors.groups:
        return Estimate(None, None, None)
    return estimate_drop(first.draws[metric], second.draws[metric], paired=_is_paired(first, second))


def _is_paired(first: Evaluation, second: Evaluation) -> bool:
    """Return whether there are draws, and they have the same videos in both."""
    bootstraps = [evaluation.summary.get("bootstrap") for evaluation in (first, second)]
    same_videos = first.video_keys is not None and first.video_keys == second.video_keys
    return same_videos and bootstraps[0] is not None and bootstraps[0] == bootstraps[1]
