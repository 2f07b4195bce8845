"""frame-mAP and video-mAP in mmengine's loops: collect what each clip gives, then merge, link and evaluate."""

import inspect
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.evaluator import BaseMetric

from stal.data.detection_files import write_detections
from stal.engine.model import ClipResult
from stal.errors import ConfigError
from stal.linking import link_online, merge_tubelets
from stal.metrics.summary import evaluate
from stal.structures import Annotations, Detections, Tube


class TubeMetrics(BaseMetric):
    """Evaluate a detector on the videos of `annotations`.

    Args:
        annotations: ground truth of the tested split.
        linking: arguments of `link_online`.
        out: file to write the metrics to, usually `metrics.json`; None for none.
        origin: what the metrics are of (config, checkpoint, split), written beside them.
        dump: .npz to write detections, tubes and ground truth to; None for none.
    """

    def __init__(
        self,
        annotations: Annotations,
        *,
        linking: Mapping[str, Any] | None = None,
        out: Path | None = None,
        origin: Mapping[str, str] | None = None,
        dump: Path | None = None,
    ) -> None:
        super().__init__()
        self.annotations = annotations
        self.linking = dict(linking or {})
        unknown = self.linking.keys() - inspect.signature(link_online).parameters.keys()
        if unknown:
            raise ConfigError(f"linking: link_online takes no {', '.join(sorted(unknown))}")
        self.out = out
        self.origin = dict(origin or {})
        self.dump = dump

    def process(self, data_batch: Any, data_samples: Sequence[ClipResult]) -> None:
        """Keep the results of a batch: one record per clip, as many as mmengine counts when it gathers them."""
        self.results.extend(data_samples)

    def compute_metrics(self, results: list[ClipResult]) -> dict[str, float]:
        """Return the headline numbers, and write everything."""
        by_video: dict[str, list[ClipResult]] = {video.key: [] for video in self.annotations.videos}
        for result in results:
            by_video[result.video_key].append(result)
        detections: dict[str, Detections] = {}
        tubes: dict[str, list[Tube]] = {}
        for video in self.annotations.videos:
            windows = by_video[video.key]
            detections[video.key] = merge_tubelets(
                [(w.frames, w.boxes, w.presence[:, :, None] * w.class_scores[:, None]) for w in windows],
                num_frames=video.num_frames,
            )
            tubes[video.key] = link_online(detections[video.key], num_frames=video.num_frames, **self.linking)
        metrics = evaluate(self.annotations, detections, tubes)
        if self.out is not None:
            self.out.parent.mkdir(parents=True, exist_ok=True)
            self.out.write_text(json.dumps(metrics | self.origin, indent=2) + "\n")
        if self.dump is not None:
            self.dump.parent.mkdir(parents=True, exist_ok=True)
            write_detections(self.dump, self.annotations, detections, tubes)
        return {name: value for name, value in metrics.items() if "mAP" in name and isinstance(value, float)}
