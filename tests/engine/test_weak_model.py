"""The model that knows what clips show, and not who does it: losses, penalties on labels, persons of a file."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from stal.data.detection_files import write_detections
from stal.engine.model import DetectionModel
from stal.engine.preprocessor import ClipPreprocessor
from stal.errors import ConfigError, ShapeError
from stal.losses.albar import ALBAR
from stal.losses.gradient_penalty import GradientPenalty
from stal.losses.penalty import Schedule
from stal.losses.pgd_ex import PGDEx
from stal.mixing.batch_mix import BatchMix
from stal.mixing.chain import Chain
from stal.mixing.mask_sources import EmptyMasks, ProvenanceMasks, RandomMasks, SourceClipMasks
from stal.models.backbone import OnePathway
from stal.models.detector import TubeDetector
from stal.ops.tubelets import fill_frames
from stal.structures import Annotations, ClipBatch, Detections, Video

pytestmark = pytest.mark.usefixtures("message_hub")
BATCH_MIX = BatchMix(probability=1.0, max_pasted=100)


class TwoLayers(OnePathway):
    """A backbone that costs next to nothing and sees some of the surroundings."""

    slow_channels, fine_channels, spatial_stride, fine_stride, norm = 6, 4, 4, 2, "group"

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv3d(3, 4, (1, 3, 3), (1, 2, 2), (0, 1, 1)), nn.SiLU())
        self.second = nn.Sequential(nn.Conv3d(4, 6, (3, 3, 3), (2, 2, 2), 1), nn.SiLU())

    def slow_frames(self, num_frames: int) -> torch.Tensor:
        return torch.arange(0, num_frames, 2)

    @property
    def pathway_ends(self) -> tuple[nn.Module, ...]:
        return (self.second,)

    def maps(self, clips: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        fine = self.first(clips)
        return self.second(fine), fine


class Listener:
    """A penalty that adds nothing, and keeps what it was told."""

    schedule, needs_input_gradient, num_scenes = Schedule(1.0), False, None

    def __call__(self, actors, *, step, generator):
        self.actors = actors
        return {"loss_listener": 0 * actors.logits.sum()}


@pytest.fixture
def weak_model():
    """Return what builds a model of clip labels whose class layer does not start near zero."""

    def build(penalty=None, *, kind="log_sum_exp", mixer=None, num_samples=0, test_pool="roi", **changes):
        torch.manual_seed(0)
        detector = TubeDetector(
            TwoLayers(),
            num_classes=3,
            proposals={"channels": 8, "anchor_sizes": (16,), "aspect_ratios": (1.0,), "num_train": 8, "num_test": 8},
            regressor={"channels": 8, "bins": 2},
            classifier={"bins": 3, "dropout": 0.0},
            pool={"kind": kind},
            train_pool="clip",
            test_pool=test_pool,
            num_samples=num_samples,
            min_score=0.0,
        )
        nn.init.normal_(detector.classifier.logits.weight, std=2.0)
        arguments = {"proposals": "ground_truth", "penalty_masks": SourceClipMasks(), **changes}
        return DetectionModel(detector, ClipPreprocessor(mixer, seed=0), penalty, **arguments).train()

    return build


@pytest.fixture
def labelled(clips, make_clip):
    """Return what gives clips with labels of their videos: of two actors, of one, and of another one."""

    def label(*video_labels):
        every = [*clips, make_clip([[28.0, 14.0, 44.0, 31.0]], seed=2)]
        return [
            dataclasses.replace(clip, video_labels=torch.tensor(labels, dtype=torch.int64))
            for clip, labels in zip(every, video_labels, strict=False)
        ]

    return label


def step(model, prepared) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return model(prepared, mode="loss")


def pooled_by_hand(model, batch: ClipBatch, clips: torch.Tensor) -> torch.Tensor:
    """Return log-mean-exp of the logits of the persons of each clip, who are all on the keyframe."""
    tubelets = torch.cat([fill_frames(boxes, valid) for boxes, valid in zip(batch.boxes, batch.valid, strict=True)])
    index = torch.arange(len(batch)).repeat_interleave(torch.tensor([len(boxes) for boxes in batch.boxes]))
    logits, _ = model.detector.classify(model.detector.backbone(clips), tubelets, index)
    return torch.stack([logits[index == clip].exp().mean(0).log() for clip in range(len(batch))])


def gradients_by_hand(model, batch: ClipBatch) -> torch.Tensor:
    """Return (B, K, C, T, H, W) the gradient of each logit of each clip."""
    x = batch.clips.clone().requires_grad_()
    logits = pooled_by_hand(model, batch, x)
    rows = [
        [torch.autograd.grad(logits[b, k], x, retain_graph=True)[0][b] for k in range(3)] for b in range(len(batch))
    ]
    return torch.stack([torch.stack(row) for row in rows])


def test_the_penalty_of_two_mixed_clips_is_the_papers(weak_model, labelled):
    model = weak_model(GradientPenalty(1.0, reduction="sum"), mixer=BATCH_MIX).double()
    prepared = model.data_preprocessor.prepare(labelled([0], [2]), True)
    batch = prepared.batch
    assert all(set(sources.tolist()) == {0, 1} for sources in batch.sources)
    gradient, is_a = gradients_by_hand(model, batch), (batch.voxel_sources == 0)[:, None]
    by_hand = ((~is_a) * gradient[:, 0] + is_a * gradient[:, 2]).square().sum() / 2
    assert step(model, prepared)["loss_pgg"].item() == pytest.approx(by_hand.item(), rel=1e-9)
    assert by_hand > 1e-6


@pytest.mark.parametrize("video_labels", [([0], [0], [2]), ([0, 1], [1], [1, 2])], ids=str)
def test_the_penalty_of_three_mixed_clips_has_a_row_for_every_label(video_labels, weak_model, labelled):
    mixer = Chain([BATCH_MIX, dataclasses.replace(BATCH_MIX, min_visible=0.05)])
    model = weak_model(GradientPenalty(1.0, reduction="sum"), mixer=mixer)
    prepared = model.data_preprocessor.prepare(labelled(*video_labels), True)
    batch = prepared.batch
    assert max(len(set(sources.tolist())) for sources in batch.sources) == 3
    gradient, by_hand = gradients_by_hand(model, batch), 0.0
    for clip in range(3):
        for label in range(3):
            having = {s for s in batch.sources[clip].tolist() if label in video_labels[s]}
            if having:
                outside = ~torch.isin(batch.voxel_sources[clip].long(), torch.tensor(list(having)))
                by_hand += (gradient[clip, label] * outside).square().sum().item() / 3
    assert step(model, prepared)["loss_pgg"].item() == pytest.approx(by_hand, rel=1e-4, abs=1e-9)
    assert by_hand > 1e-6


def test_a_label_that_both_clips_have_may_look_everywhere(weak_model, labelled):
    model = weak_model(GradientPenalty(1.0), mixer=BATCH_MIX)
    losses = step(model, model.data_preprocessor.prepare(labelled([1], [1]), True))
    assert losses["loss_pgg"] == 0 and losses["pgg_energy_inside"] > 0


@pytest.mark.parametrize("kind", ["max", "attention"])
def test_its_parameter_gradient_equals_central_differences(kind, weak_model, labelled):
    model = weak_model(GradientPenalty(1.0), kind=kind, mixer=BATCH_MIX).double()
    prepared = model.data_preprocessor.prepare(labelled([0], [1, 2]), True)
    detector = model.detector
    weights = [*detector.backbone.parameters(), *detector.classifier.parameters(), *detector.pool.parameters()]
    gradients = torch.autograd.grad(step(model, prepared)["loss_pgg"], weights, allow_unused=True)
    generator, size = torch.Generator().manual_seed(3), 1e-6
    moved = [torch.randn(w.shape, generator=generator, dtype=w.dtype) for w in weights]
    ends = []
    for sign in (1, -2):
        with torch.no_grad():
            for weight, direction in zip(weights, moved, strict=True):
                weight += sign * size * direction
        ends.append(step(model, prepared)["loss_pgg"].item())
    pairs = zip(gradients, moved, strict=True)
    analytic = sum((g * direction).sum().item() for g, direction in pairs if g is not None)
    assert analytic == pytest.approx((ends[0] - ends[1]) / (2 * size), rel=2e-4)
    assert analytic != 0 and all(
        g.any() for g in gradients[-len([*detector.pool.parameters()]) :] if kind == "attention"
    )


def test_the_class_loss_is_that_of_the_pooled_logits_against_the_label_sets(weak_model, labelled):
    model = weak_model(mixer=BATCH_MIX)
    prepared = model.data_preprocessor.prepare(labelled([0], [1, 2]), True)
    logits = pooled_by_hand(model, prepared.batch, prepared.batch.clips)
    expected = nn.functional.binary_cross_entropy_with_logits(logits, torch.ones(2, 3), reduction="sum") / 2
    torch.testing.assert_close(step(model, prepared)["loss_class"], expected)


def test_the_labels_of_actors_are_not_looked_at(weak_model, labelled):
    clips = labelled([0], [1, 2])
    other = [dataclasses.replace(clip, labels=(clip.labels + 1) % 3) for clip in clips]
    first, second = (
        step(model, model.data_preprocessor.prepare(some, True))
        for some in (clips, other)
        for model in [weak_model(GradientPenalty(1.0), mixer=BATCH_MIX, num_samples=4, proposals="network")]
    )
    assert first == second


def test_rois_that_show_nobody_learn_to_be_no_class(weak_model, labelled):
    model = weak_model(num_samples=8)
    batch = model.data_preprocessor.prepare(labelled([0], [1]), True).batch
    nowhere = [torch.tensor([[40.0, 0.0, 47.0, 4.0]])] * 2
    torch.manual_seed(0)
    with_nobody = model.detector.loss(batch, nowhere).losses["loss_class"]
    torch.manual_seed(0)
    without = model.detector.loss(batch, [boxes[:0] for boxes in nowhere]).losses["loss_class"]
    features = model.detector.backbone(batch.clips)
    seen = model.detector.follow(features, torch.cat(nowhere), torch.arange(2), tuple(batch.clips.shape[2:]))
    torch.testing.assert_close(with_nobody - without, -(1 - seen.class_scores).log().sum(1).mean(), atol=1e-4, rtol=0)


PENALTIES = {
    "ratio": lambda: GradientPenalty(1.0, squared="ratio", blocks=(4, 4, 4), subset="one_actor"),
    "rrr": lambda: GradientPenalty(1.0, target="sum_log_probability"),
    "random_signs": lambda: GradientPenalty(1.0, target="random_signs", squared="time"),
    "share_of_clips": lambda: GradientPenalty(1.0, subset=0.5),
    "finite_difference": lambda: GradientPenalty(1.0, estimator="finite_difference"),
    "pgd_ex": lambda: PGDEx(1.0, num_steps=1),
    "albar": lambda: ALBAR(1.0),
}


@pytest.mark.parametrize("name", PENALTIES)
def test_every_penalty_takes_labels_of_clips_and_reaches_the_backbone(name, weak_model, labelled):
    model = weak_model(PENALTIES[name](), mixer=BATCH_MIX)
    prepared = model.data_preprocessor.prepare(labelled([0], [1, 2]), True)
    plain = step(weak_model(), prepared)
    losses = step(model, prepared)
    added = [loss for key, loss in losses.items() if key not in plain and loss.requires_grad]
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(added).backward()
    assert all(p.grad.any() for p in model.detector.backbone.parameters() if p.ndim == 5)


@pytest.mark.parametrize(("kind", "proposals"), [("attention", "network"), ("max", "ground_truth")])
def test_every_weight_has_a_gradient_with_and_without_persons(kind, proposals, weak_model, labelled, make_clip):
    """Or distributed training would wait."""
    empty = [dataclasses.replace(make_clip([], seed=seed), video_labels=torch.tensor([0])) for seed in (0, 1)]
    for clips in (empty, [labelled([0])[0], empty[1]]):
        model = weak_model(GradientPenalty(1.0), kind=kind, num_samples=4, proposals=proposals)
        losses = step(model, model.data_preprocessor.prepare(clips, True))
        assert all(torch.isfinite(loss) for loss in losses.values())
        model.parse_losses(losses)[0].backward()
        assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    "masks",
    [SourceClipMasks(), ProvenanceMasks(), EmptyMasks(), RandomMasks("bernoulli", of=SourceClipMasks())],
    ids=str,
)
def test_masks_of_every_source_are_those_of_the_rows(masks, weak_model, labelled):
    listener = Listener()
    model = weak_model(listener, mixer=BATCH_MIX, penalty_masks=masks)
    step(model, model.data_preprocessor.prepare(labelled([0], [1, 2]), True))
    told = listener.actors
    assert (told.clip_index.tolist(), told.labels.tolist()) == ([0, 0, 0, 1, 1, 1], [0, 1, 2] * 2)
    assert told.targets.equal(torch.ones(6, 3)) and told.scenes.tolist() == [0] * 3 + [1] * 3
    assert told.masks.shape == (6, *told.clips.shape[2:])
    assert told.masks.any() != isinstance(masks, EmptyMasks)


@pytest.mark.parametrize("kind", ["log_sum_exp", "attention"])
def test_labels_of_clips_can_be_scored_again_and_alone_with_the_same_dropout(kind, weak_model, labelled):
    listener = Listener()
    model = weak_model(listener, kind=kind)
    model.detector.classifier.dropout = 0.5
    step(model, model.data_preprocessor.prepare(labelled([0], [1, 2], [2]), True))
    told = listener.actors
    torch.testing.assert_close(told.rescored(told.clips), told.logits)
    for rows in ([2, 1], [0], [3, 0]):
        alone = told.alone(torch.tensor(rows))
        assert len(alone.clips) == len({[0, 1, 1, 2][row] for row in rows})
        torch.testing.assert_close(alone.logits, told.logits[rows], atol=1e-4, rtol=1e-4)
        assert alone.targets.equal(told.targets[rows])
    frames = torch.tensor([0, 7, 3])
    held = told.rescored(told.clips, frames)
    kept = told.alone(torch.tensor([1, 3]))
    torch.testing.assert_close(kept.rescored(kept.clips, frames[1:]), held[[1, 3]], atol=1e-4, rtol=1e-4)


def test_at_test_everyone_has_scores_of_their_own_or_all_those_of_the_clip(weak_model, labelled):
    clips = labelled([0], [1])
    own, shared = (weak_model(test_pool=pool).eval() for pool in ("roi", "clip"))
    shared.load_state_dict(own.state_dict())
    by_person, by_clip = (model.test_step(clips) for model in (own, shared))
    assert len(by_person[0].class_scores) == len(by_clip[0].class_scores) == 2
    first, second = torch.from_numpy(by_person[0].class_scores)
    pooled = torch.stack([first.logit(), second.logit()]).exp().mean(0).log().sigmoid()
    for scores in by_clip[0].class_scores:
        np.testing.assert_allclose(scores, pooled, rtol=1e-4)
    np.testing.assert_allclose(by_clip[1].class_scores, by_person[1].class_scores, rtol=1e-4)
    np.testing.assert_array_equal(by_clip[0].boxes, by_person[0].boxes)


@pytest.fixture
def person_file(tmp_path):
    """Return a file with a person in each clip, who stands still for the first three frames of four and is gone."""
    videos = tuple(Video(f"video {n}", tmp_path / f"{n}", 30, 64, 96) for n in range(2))
    boxes = np.array([[10, 10, 40, 50]] * 6, np.float32)
    found = Detections(np.arange(6), boxes, np.zeros(6, np.int64), np.ones(6))
    path = tmp_path / "persons.npz"
    write_detections(path, Annotations(("person",), videos), {video.key: found for video in videos}, {})
    return str(path)


def test_persons_of_a_file_take_the_place_of_annotated_boxes(person_file, weak_model, labelled):
    clips = labelled([0], [1, 2])
    unboxed = [
        dataclasses.replace(clip, boxes=clip.boxes[:0], valid=clip.valid[:0], labels=clip.labels[:0]) for clip in clips
    ]

    def trained(some):
        model = weak_model(GradientPenalty(1.0), mixer=BATCH_MIX, num_samples=4, proposals=person_file)
        prepared = model.data_preprocessor.prepare(some, True)
        return prepared.batch, step(model, prepared)

    batch, losses = trained(clips)
    assert [len(boxes) for boxes in batch.boxes] == [2, 2] or [len(boxes) for boxes in batch.boxes] == [1, 1]
    assert all(labels.eq(-1).all() for labels in batch.labels)
    assert batch.boxes[0][-1, 0].tolist() == [5.0, 5.0, 20.0, 25.0]  # half the video's
    assert batch.valid[0][-1].tolist() == [True] * 6 + [False] * 2
    again, same = trained(unboxed)
    assert losses == same and again.provenance.equal(batch.provenance)


def test_at_test_and_in_supervised_training_annotated_actors_stay(person_file, weak_model, labelled, small_model):
    clips = labelled([0], [1])
    tested = weak_model(proposals=person_file).data_preprocessor.prepare(clips, False)
    supervised = small_model(proposals=person_file).data_preprocessor.prepare(clips, True)
    for prepared in (tested, supervised):
        assert [labels.tolist() for labels in prepared.batch.labels] == [[0, 1], [0]]


def test_videos_without_known_labels_are_refused(weak_model, clips):
    model = weak_model()
    with pytest.raises(ShapeError, match="no video_labels"):
        step(model, model.data_preprocessor.prepare(clips, True))


@pytest.mark.parametrize(
    "changes",
    [
        {"train_pool": "video"},
        {"test_pool": "max"},
        {"pool": {"kind": "max"}},  # and nothing is pooled
        {"pool": {"kind": "attention"}, "test_pool": "clip"},  # which nobody has learnt
    ],
)
def test_pools_that_cannot_be_are_refused(changes, small_detector):
    with pytest.raises((ConfigError, TypeError)):
        small_detector(**changes)
