"""The tube detector: which class, where on every frame of a clip, how sure."""

import dataclasses
from typing import Any, Literal, NamedTuple, get_args

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor, nn

from stal.errors import ConfigError
from stal.losses.detection import box_loss, presence_loss, sample_rois
from stal.models.backbone import Backbone, PathwayFeatures
from stal.models.class_training import TrainOutput, TrainRois, learn_actors, learn_clips
from stal.models.clip_pool import ClipPool
from stal.models.proposals import KeyframeProposals
from stal.models.roi_head import RegressionStep, TubeletClassifier, TubeletRegressor, encode_boxes
from stal.ops.tubelets import clip_boxes, fill_frames, nms_per_class, tubelet_iou
from stal.structures import ClipBatch

PooledOver = Literal["roi", "clip"]


class Tubelets(NamedTuple):
    """What the detector sees in one clip.

    Attributes:
        boxes: (R, T, 4) xyxy pixels of the clip.
        class_scores: (R, K) in [0, 1]; zero where suppressed.
        presence: (R, T) in [0, 1]: how surely the actor acts on a frame.
    """

    boxes: Float[Tensor, "R T 4"]
    class_scores: Float[Tensor, "R K"]
    presence: Float[Tensor, "R T"]


class TubeDetector(nn.Module):
    """A backbone, proposals on the keyframe, and an RoI head that first follows an actor and then scores what it does.

        clip -> backbone -> features -> proposals on the keyframe -> the box repeated over the clip (a cuboid)
             -> regressor: a box and a presence on every frame (a tubelet) -> classifier: class logits of the tubelet

    Where it is not known who does what, it is trained with `train_pool="clip"` and tested with `test_pool="roi"`: the
    class logits of the persons of a clip are pooled in training, and learn the labels of its video; in testing each is
    scored by itself (the pooling-switching trick of Hachiuma, Sato, Sekii, CVPR 2023).

    Args:
        backbone: gives the features, such as `SlowFast`; see `Backbone` for what it must declare.
        num_classes: number of classes.
        proposals: arguments of `KeyframeProposals`.
        regressor: arguments of `TubeletRegressor`.
        classifier: arguments of `TubeletClassifier`.
        pool: arguments of `ClipPool`, if one is asked for.
        train_pool: what learns a label: the `roi` of the actor whose label it is, or the `clip`, see `learn_clips`.
        test_pool: whose class scores a tubelet has: its own, or those of its `clip`, pooled over all tubelets that are
            looked at. This is the lower line: who does what is told by chance. It asks for proposals that are persons.
        num_samples: tubelets a clip that the RoI head is trained on, without the actors' own.
        positive_fraction: largest share of them that shows an actor.
        positive_iou: IoU on the keyframe from which a proposal shows an actor.
        nms_iou: mean IoU over which the worse of two tubelets of a class is dropped.
        min_score: class scores below this are dropped.
        box_weight: weight of the RoI head's losses of boxes and presence; those of the proposals keep theirs, and that
            of the classification is 1.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        num_classes: int,
        proposals: dict[str, Any] | None = None,
        regressor: dict[str, Any] | None = None,
        classifier: dict[str, Any] | None = None,
        pool: dict[str, Any] | None = None,
        train_pool: PooledOver = "roi",
        test_pool: PooledOver = "roi",
        num_samples: int = 32,
        positive_fraction: float = 0.5,
        positive_iou: float = 0.5,
        nms_iou: float = 0.5,
        min_score: float = 0.01,
        box_weight: float = 1.0,
    ) -> None:
        super().__init__()
        if not 0 <= box_weight < float("inf"):
            raise ConfigError(f"TubeDetector: box_weight = {box_weight} must not be negative, and be finite")
        _check_pools(train_pool, test_pool, pool)
        in_channels = backbone.slow_channels + backbone.fast_channels
        self.backbone = backbone
        self.proposals = KeyframeProposals(in_channels=in_channels, **(proposals or {}))
        self.regressor = TubeletRegressor(
            in_channels=in_channels, fine_channels=backbone.fine_channels, **(regressor or {})
        )
        self.classifier = TubeletClassifier(in_channels=in_channels, num_classes=num_classes, **(classifier or {}))
        self.pool = ClipPool(in_channels=in_channels, num_classes=num_classes, **(pool or {}))
        self.train_pool = train_pool
        self.test_pool = test_pool
        self.num_samples = num_samples
        self.positive_fraction = positive_fraction
        self.positive_iou = positive_iou
        self.nms_iou = nms_iou
        self.min_score = min_score
        self.box_weight = box_weight

    def loss(self, batch: ClipBatch, proposals: list[Float32[Tensor, "_ 4"]] | None = None) -> TrainOutput:
        """Return the losses of a batch of normalised clips.

        Args:
            batch: the clips and their actors; every actor has a box on at least one frame.
            proposals: boxes on the keyframe of each clip, in place of the detector's own.
        """
        features = self.backbone(batch.clips)
        num_frames, height, width = batch.clips.shape[2:]
        keyframe = num_frames // 2
        actors = [fill_frames(boxes, valid) for boxes, valid in zip(batch.boxes, batch.valid, strict=True)]
        present = [valid[:, keyframe] for valid in batch.valid]
        losses: dict[str, Tensor] = {}
        if proposals is None:
            on_keyframe = tuple(a[p, keyframe] for a, p in zip(actors, present, strict=True))
            proposals, losses = self.proposals(features, (height, width), on_keyframe)
        samples = [
            sample_rois(
                boxes,
                tubelets[:, keyframe],
                here,
                num_samples=self.num_samples,
                positive_fraction=self.positive_fraction,
                positive_iou=self.positive_iou,
            )
            for boxes, tubelets, here in zip(proposals, actors, present, strict=True)
        ]
        sample_clip = _clip_index([s.boxes for s in samples])
        actor_clip = _clip_index(list(batch.labels))
        num_actors = torch.bincount(actor_clip, minlength=len(batch))
        first_actor = num_actors.cumsum(0) - num_actors
        sample_actor = torch.cat([s.actors for s in samples])
        shows_actor = sample_actor >= 0
        matched = (sample_actor + first_actor[sample_clip])[shows_actor]

        cuboids = torch.cat([s.boxes for s in samples])[:, None].expand(-1, num_frames, -1)
        steps = self._regress(features, cuboids, sample_clip)
        actor_tubelets, actor_valid = torch.cat(actors), torch.cat(list(batch.valid))
        targets, valid = actor_tubelets[matched], actor_valid[matched]
        losses["loss_box"] = (
            self.box_weight
            * torch.stack(
                [
                    box_loss(step.deltas[shows_actor], encode_boxes(targets, step.anchors[shows_actor]), valid)
                    for step in steps
                ]
            ).sum()
        )
        presence = torch.stack([presence_loss(step.presence[shows_actor], valid) for step in steps])
        losses["loss_presence"] = self.box_weight * presence.sum()
        tubelets = clip_boxes(steps[-1].tubelets, height, width)

        shown = torch.cat(present).nonzero().squeeze(1)
        sample_actor[shows_actor] = matched
        rois = TrainRois(shown, actor_tubelets[shown], actor_clip[shown], tubelets, sample_clip, sample_actor)
        if self.train_pool == "roi":
            output = learn_actors(self, features, batch, rois)
        else:
            output = learn_clips(self, features, batch, rois, self.pool)
        return dataclasses.replace(output, losses=losses | output.losses)

    @torch.no_grad()
    def predict(
        self, clips: Float[Tensor, "B C T H W"], proposals: list[Float32[Tensor, "_ 4"]] | None = None
    ) -> list[Tubelets]:
        """Return the tubelets of each normalised clip; `proposals` on the keyframes replace the detector's own."""
        return [
            suppress(tubelets, nms_iou=self.nms_iou, min_score=self.min_score)
            for tubelets in self.every_tubelet(clips, proposals)
        ]

    @torch.no_grad()
    def every_tubelet(
        self, clips: Float[Tensor, "B C T H W"], proposals: list[Float32[Tensor, "_ 4"]] | None = None
    ) -> list[Tubelets]:
        """Return the tubelet of each proposal in each normalised clip: those of `predict` before any is suppressed."""
        features = self.backbone(clips)
        num_frames, height, width = clips.shape[2:]
        if proposals is None:
            proposals, _ = self.proposals(features, (height, width))
        clip_index = _clip_index(proposals)
        every = self.follow(features, torch.cat(proposals), clip_index, (num_frames, height, width))
        return [
            Tubelets(*(values[own] for values in every)) for own in (clip_index == clip for clip in range(len(clips)))
        ]

    def follow(
        self,
        features: PathwayFeatures,
        boxes: Float[Tensor, "R 4"],
        clip_index: Int64[Tensor, " R"] | None,
        clip_shape: tuple[int, int, int],
    ) -> Tubelets:
        """Return the tubelets that boxes on the keyframes become, of all clips together.

        Args:
            features: of the clips.
            boxes: xyxy pixels of the clip.
            clip_index: the clip of each box; None: every clip has as many, those of clip 0 first.
            clip_shape: (frames, height, width) of the clips.
        """
        num_frames, height, width = clip_shape
        last = self._regress(features, boxes[:, None].expand(-1, num_frames, -1), clip_index)[-1]
        tubelets = clip_boxes(last.tubelets, height, width)
        logits, roi_features = self.classify(features, tubelets, clip_index)
        if self.test_pool == "clip":
            if clip_index is None:
                num_clips = len(features.slow)
                clip_index = torch.arange(num_clips, device=boxes.device).repeat_interleave(len(boxes) // num_clips)
            group = clip_index.unique(return_inverse=True)[1]
            logits = self.pool(logits, roi_features, group)[group]
        return Tubelets(tubelets, logits.sigmoid(), last.presence.sigmoid())

    def class_logits(
        self,
        clips: Float[Tensor, "B C T H W"],
        tubelets: Float[Tensor, "R T 4"],
        clip_index: Int64[Tensor, " R"],
        dropout: Float[Tensor, "R F"] | None = None,
        slow_clips: Float[Tensor, "B C T H W"] | None = None,
    ) -> Float[Tensor, "R K"]:
        """Return the class logits of given tubelets, differentiable with respect to `clips`.

        Args:
            clips: normalised.
            tubelets: xyxy pixels of the clip.
            clip_index: the clip of each tubelet.
            dropout: of the tubelets' features; None draws one in training.
            slow_clips: what the slow pathway sees in place of `clips`; None for the same.
        """
        return self.classify(self.backbone(clips, slow_clips), tubelets, clip_index, dropout)[0]

    def _regress(self, features: PathwayFeatures, cuboids: Tensor, clip_index: Tensor | None) -> list[RegressionStep]:
        return self.regressor(features, cuboids, clip_index, (self.backbone.spatial_stride, self.backbone.fine_stride))

    def draw_dropout(self, num_tubelets: int) -> Float[Tensor, "R F"]:
        """Return a draw of dropout of the tubelets' features, see `TubeletClassifier`."""
        return self.classifier.draw_dropout(num_tubelets)

    def classify(
        self,
        features: PathwayFeatures,
        tubelets: Float[Tensor, "R T 4"],
        clip_index: Int64[Tensor, " R"] | None,
        dropout: Float[Tensor, "R F"] | None = None,
    ) -> tuple[Float[Tensor, "R K"], Float[Tensor, "R F"]]:
        """Return the class logits of tubelets, and the features that they are a linear function of.

        Args:
            features: of the clips.
            tubelets: xyxy pixels of the clip.
            clip_index: the clip of each tubelet; None: every clip has as many, those of clip 0 first.
            dropout: of the tubelets' features; None draws one in training.
        """
        slow_frames = self.backbone.slow_frames(tubelets.shape[1]).to(tubelets.device)
        scale = 1 / self.backbone.spatial_stride
        logits, pooled = self.classifier(features, tubelets, clip_index, slow_frames, scale, dropout)
        return logits.to(torch.promote_types(logits.dtype, torch.float32)), pooled


def suppress(tubelets: Tubelets, *, nms_iou: float, min_score: float) -> Tubelets:
    """Return the tubelets of one clip after NMS per class, without those that no class is left of.

    Args:
        tubelets: of one clip.
        nms_iou: mean IoU over which the worse of two tubelets of a class is dropped.
        min_score: class scores below this are dropped.
    """
    iou = tubelet_iou(tubelets.boxes, tubelets.boxes)
    kept = nms_per_class(iou, tubelets.class_scores, nms_iou) & (tubelets.class_scores >= min_score)
    rows = kept.any(1)
    return Tubelets(tubelets.boxes[rows], (tubelets.class_scores * kept)[rows], tubelets.presence[rows])


def _check_pools(train_pool: str, test_pool: str, pool: dict[str, Any] | None) -> None:
    """Raise a ConfigError unless the pools can be had, and what pools clips is asked for only if one is."""
    for name, value in (("train_pool", train_pool), ("test_pool", test_pool)):
        if value not in get_args(PooledOver):
            raise ConfigError(f"TubeDetector: {name} = {value!r} is neither 'roi' nor 'clip'")
    if pool is not None and train_pool == test_pool == "roi":
        raise ConfigError(f"TubeDetector: pool = {pool} has no meaning unless train_pool or test_pool is 'clip'")
    if (pool or {}).get("kind") == "attention" and train_pool == "roi":
        raise ConfigError("TubeDetector: a pool of kind 'attention' has to be learnt, with train_pool = 'clip'")


def _clip_index(per_clip: list[Tensor]) -> Int64[Tensor, " _"]:
    """Return the clip of every row of the concatenated tensors."""
    device = per_clip[0].device
    counts = torch.tensor([len(rows) for rows in per_clip], device=device)
    return torch.arange(len(per_clip), device=device).repeat_interleave(counts)
