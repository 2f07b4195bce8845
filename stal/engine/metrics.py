"""frame-mAP and video-mAP in mmengine's loops: what each clip gives is merged, linked, gathered and evaluated."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import all_gather_object, broadcast_object_list, is_main_process
from mmengine.evaluator import BaseMetric

from stal.data.detection_files import write_detections
from stal.engine.collector import VideoCollector, VideoResult
from stal.engine.located_clip import MapCollector
from stal.engine.model import ClipResult
from stal.errors import ConfigError, StalError
from stal.evaluation.outputs import check_targets, write_json
from stal.linking.linker import LINKERS, Linker
from stal.metrics.actor_accuracy import ACTOR_ACCURACY, WORST_GROUP_ACCURACY
from stal.metrics.bootstrap import NUM_DRAWS, SEED
from stal.metrics.max_box_acc import MAX_BOX_ACC, BoxThresholds, max_box_accuracy
from stal.metrics.protocol import VOC, Protocol
from stal.metrics.resampling import draw_videos
from stal.metrics.summary import Evaluation, evaluate_tables
from stal.metrics.tables import make_tables
from stal.structures import Annotations


class TubeMetrics(BaseMetric):
    """Evaluate a detector on the videos of `annotations`.

    It serves any mmengine runner whose model returns a list of `VideoResult` (detections of a whole video, and tubes
    where the model makes them) or of `ClipResult` (tubelets of a window), for instance:

        class MyModel(mmengine.model.BaseModel):
            def forward(self, inputs, keys, mode):
                found = self.detector(inputs)  # of each video frames, boxes, labels, scores
                return [VideoResult(key, Detections(*arrays)) for key, arrays in zip(keys, found, strict=True)]

        metric = TubeMetrics(annotations, linker=LINKERS["act"], protocol=PROTOCOLS["act"], out=Path("metrics.json"))
        Runner(MyModel(), test_dataloader=loader, test_cfg={}, test_evaluator=[metric], work_dir="work").test()

    A video is merged and linked when the last of its clips has been seen, and its clips are forgotten. With
    `VideoBatchSampler`, which goes through one video after the other, a process never holds the clips of more than one.
    Clips may also come in any order, repeatedly, and from any process. Neither numbers nor files depend on how many
    processes there are.

    Args:
        annotations: ground truth of the tested videos. Results of each must come, or evaluating is an error.
        num_clips: number of clips of each video by its key, as `ClipDataset.num_clips`; for results that are clips.
        linker: makes tubes of detections.
        protocol: how detections and tubes are scored.
        out: file to write the metrics to, usually `metrics.json`; None for none.
        origin: what the metrics are of (config, checkpoint, split), written beside them.
        dump: .npz to write detections, tubes and ground truth to; None for none.
        num_draws: bootstrap draws for the confidence intervals that are written; 0 for no intervals.
        headlines_only: leave out what is behind the headline numbers.
        prefix: of the names of the metrics, where a runner has several; None for none.
        thresholds_of: for models with maps of classes, the metrics of another set, evaluated before, whose best
            thresholds `MaxBoxAccV2-3D` takes; None for the best of this set.

    Attributes:
        evaluation: all numbers of the last evaluation, with their draws; None before it, and in all processes but the
            first.
    """

    evaluation: Evaluation | None = None

    def __init__(
        self,
        annotations: Annotations,
        *,
        num_clips: Mapping[str, int] | None = None,
        linker: Linker = LINKERS["default"],
        protocol: Protocol = VOC,
        out: Path | None = None,
        origin: Mapping[str, Any] | None = None,
        dump: Path | None = None,
        num_draws: int = NUM_DRAWS,
        headlines_only: bool = False,
        prefix: str | None = None,
        thresholds_of: "TubeMetrics | None" = None,
    ) -> None:
        super().__init__(prefix=prefix)
        for target in (out, dump):
            check_targets(target)
        self.annotations = annotations
        self.num_clips = dict(num_clips or {})
        self.linker = linker
        self.protocol = protocol
        self.out = out
        self.origin = dict(origin or {})
        self.dump = dump
        self.num_draws = num_draws
        self.headlines_only = headlines_only
        self.thresholds_of = thresholds_of
        self._collector = self._new_collector()
        self._maps = MapCollector()

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        """Take in the results of a batch: each a `ClipResult` or a `VideoResult`."""
        for result in data_samples:
            self._collector.add(result)
            self._maps.add(result)

    def evaluate(self, size: int) -> dict[str, float]:
        """Gather the results of all processes, evaluate them in the first, and return the headline numbers in all.

        mmengine's own way cannot serve: it cuts the gathered results to the length of the data set, and where the first
        process fails, the others wait for it.

        Args:
            size: not used; the annotations say what there is to come.

        Raises:
            StalError: results are missing or cannot be evaluated. It is raised in every process.
        """
        collector, self._collector = self._collector, self._new_collector()
        maps, self._maps = self._maps, MapCollector()
        parts = all_gather_object((collector.remaining(), maps))
        metrics: list[dict[str, float] | None] = [None]
        try:
            if is_main_process():
                all_maps = maps.merge(of_process for _, of_process in parts)
                metrics[0] = self.compute_metrics([result for part, _ in parts for result in part], all_maps)
        finally:  # also after an error, or the other processes would wait for ever
            broadcast_object_list(metrics)
        if metrics[0] is None:
            raise StalError("the first process could not evaluate; its own error says why")
        return {f"{self.prefix}/{name}" if self.prefix else name: value for name, value in metrics[0].items()}

    def compute_metrics(
        self, results: list[ClipResult | VideoResult], maps: MapCollector | None = None
    ) -> dict[str, float]:
        """Return the headline numbers, and write everything."""
        collector = self._new_collector()
        finished = [result for result in results if isinstance(result, VideoResult)]
        keys = {video.video_key for video in finished}
        for result in [*finished, *(clip for clip in results if clip.video_key not in keys)]:
            collector.add(result)
        collector.check_complete()
        ordered = [collector.videos[video.key] for video in self.annotations.videos]  # equal scores rank by it
        detections = {video.video_key: video.detections for video in ordered}
        tubes = {video.video_key: video.tubes or () for video in ordered}
        classes, videos = self.annotations.classes, self.annotations.videos
        counts = draw_videos(len(videos), self.num_draws, SEED)
        overlaps = None if maps is None else maps.overlaps(self.annotations)
        self.evaluation = evaluate_tables(
            make_tables(videos, len(classes), detections=detections, tubes=tubes),
            classes,
            self.protocol,
            counts,
            headlines_only=self.headlines_only,
            maps=None if overlaps is None else max_box_accuracy(overlaps, counts, self._fixed_thresholds()),
        )
        metrics = self.evaluation.summary
        if self.out is not None:
            write_json(self.out, metrics | {"origin": {**self.origin, "linker": repr(self.linker)}})
        if self.dump is not None:
            write_detections(self.dump, self.annotations, detections, tubes)
        others = (ACTOR_ACCURACY, WORST_GROUP_ACCURACY, MAX_BOX_ACC)
        headlines = [name for name in metrics if "mAP" in name or name in others]
        return {name: metrics[name] for name in headlines if metrics[name] is not None}

    def _fixed_thresholds(self) -> BoxThresholds | None:
        """Return the thresholds that were chosen on another set; None if this one's are to be."""
        if self.thresholds_of is None:
            return None
        chosen = self.thresholds_of.evaluation
        if chosen is None or chosen.maps is None or chosen.maps.num_maps == 0:
            raise ConfigError(
                f"the thresholds of {MAX_BOX_ACC} cannot be chosen on a set in which no map has an actor to locate: "
                "choose them on one with boxes, that is tested first"
            )
        return BoxThresholds(chosen.maps.thresholds.values, str(self.thresholds_of.origin.get("split")))

    def _new_collector(self) -> VideoCollector:
        return VideoCollector(self.annotations, self.num_clips, self.linker)
