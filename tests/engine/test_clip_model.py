"""A classifier of clips in training without boxes, and the tubes that its maps give in testing."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from stal.data import transforms
from stal.engine.clip_model import ClipModel
from stal.engine.located_clip import LocatedClip, MapCollector, locate_actors
from stal.engine.metrics import TubeMetrics
from stal.engine.preprocessor import ClipPreprocessor
from stal.errors import ConfigError
from stal.losses.gradient_penalty import GradientPenalty
from stal.metrics.max_box_acc import MAX_BOX_ACC, THRESHOLDS
from stal.mixing.batch_mix import BatchMix
from stal.mixing.chain import Chain
from stal.mixing.cuboid_mix import CuboidMix
from stal.mixing.mask_sources import DifferenceMasks, EmptyMasks, ProvenanceMasks, RandomMasks, SourceClipMasks
from stal.mixing.still_mix import StillMix
from stal.models.clip_classifier import ClipClassifier
from stal.structures import Annotations, Clip, Tube, Video

pytestmark = pytest.mark.usefixtures("message_hub")
FRAMES, HEIGHT, WIDTH = 4, 24, 32
COLOURS = torch.tensor([[255, 0, 0], [0, 255, 0]], dtype=torch.uint8)  # what tells the classes
CUBOIDS = CuboidMix(probability=1.0)
LABEL_SETS = ((0,), (1,), (0, 1), ())  # where each has one alone, a class is also told by the other's absence


def planted_clip(seed: int) -> Clip:
    """Noise in which squares of the colours of their classes move to the right, one above the other."""
    generator = torch.Generator().manual_seed(seed)
    labels = LABEL_SETS[seed % 4]
    frames = torch.randint(60, 120, (1, FRAMES, HEIGHT, WIDTH), generator=generator).to(torch.uint8).repeat(3, 1, 1, 1)
    boxes = torch.zeros(len(labels), FRAMES, 4)
    for actor, label in enumerate(labels):
        left, top = torch.randint(12, (2,), generator=generator).tolist()
        top = 12 * actor if len(labels) > 1 else top
        for frame in range(FRAMES):
            x = left + 2 * frame
            frames[:, frame, top : top + 12, x : x + 10] = COLOURS[label].view(3, 1, 1)
            boxes[actor, frame] = torch.tensor([x, top, x + 10, top + 12])
    return Clip(
        frames=frames,
        boxes=boxes,
        valid=torch.ones(len(labels), FRAMES, dtype=torch.bool),
        labels=torch.tensor(labels, dtype=torch.int64),
        actor_masks=None,
        video_key=f"video {seed}",
        frame_indices=torch.arange(FRAMES),
        to_video=torch.tensor([1.0, 1.0, 0.0, 0.0]),
        video_size=(HEIGHT, WIDTH),
        video_labels=torch.tensor(sorted(set(labels)), dtype=torch.int64),
    )


def without_actors(clip: Clip) -> Clip:
    return transforms.WithoutActors(transforms.TestTransform((HEIGHT, WIDTH)))(clip, np.random.default_rng(0))


def as_video(clip: Clip) -> Video:
    tubes = [
        Tube(label, clip.frame_indices.numpy(), boxes.numpy(), id=actor)
        for actor, (label, boxes) in enumerate(zip(clip.labels.tolist(), clip.boxes, strict=True))
    ]
    return Video(clip.video_key, Path("v.mp4"), FRAMES, height=HEIGHT, width=WIDTH, tubes=tuple(tubes))


def evaluate(model: ClipModel, clips: list[Clip], **arguments: object) -> TubeMetrics:
    annotations = Annotations(("red", "green"), tuple(map(as_video, clips)))
    num_clips = {clip.video_key: 1 for clip in clips}
    metrics = TubeMetrics(annotations, num_clips=num_clips, num_draws=10, headlines_only=True, **arguments)
    metrics.process(None, model.eval().test_step(clips))
    metrics.evaluate(len(clips))
    return metrics


@pytest.fixture(scope="module")
def train(pixel_backbone):
    """Return a model that was trained for some steps on clips without actors."""

    def train(num_steps: int, mixer: object = None, **arguments: object) -> ClipModel:
        torch.manual_seed(0)
        network = ClipClassifier(pixel_backbone(), num_classes=2)
        model = ClipModel(network, ClipPreprocessor(mixer, seed=0), **arguments).train()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        for step in range(num_steps):
            clips = [without_actors(planted_clip(8 * step + number)) for number in range(8)]
            losses = model(model.data_preprocessor.prepare(clips, True), mode="loss")
            optimizer.zero_grad()
            model.parse_losses(losses)[0].backward()
            optimizer.step()
        return model

    return train


@pytest.fixture(scope="module")
def trained(train) -> ClipModel:
    return train(60)


def test_tubes_of_maps_are_on_a_planted_cue(trained):
    metrics = evaluate(trained, [planted_clip(1000 + number) for number in range(12)])  # 6 with one class, 3 with two
    summary = metrics.evaluation.summary
    assert summary[MAX_BOX_ACC] > 95
    assert summary["video_mAP@0.5"] > 95
    assert summary["max_box_acc"]["num_maps"] == 12


@pytest.mark.parametrize("maps", ["grad_cam", "input_gradient"])
def test_maps_of_every_kind_give_results(trained, maps):
    model = ClipModel(trained.detector, trained.data_preprocessor, maps=maps, threshold=0.3)
    assert evaluate(model, [planted_clip(number) for number in range(3)]).evaluation.summary[MAX_BOX_ACC] > 50


def test_a_class_that_acts_is_located_whatever_its_score(trained):
    clip = planted_clip(1)  # green
    red = dataclasses.replace(clip, labels=1 - clip.labels)
    model = ClipModel(trained.detector, trained.data_preprocessor, min_score=0.5)
    (result,) = model.eval().test_step([red])
    assert result.map_overlaps.shape == (1, len(THRESHOLDS))
    assert (result.class_scores[:, 0] == 0).all()  # the clip is not red, so that there is no tubelet of it
    assert (result.class_scores[:, 1] > 0.5).any()


def test_two_classes_of_a_clip_are_located_apart(trained):
    (result,) = trained.eval().test_step([planted_clip(2)])
    assert result.map_overlaps.shape == (2, len(THRESHOLDS))
    assert (result.map_overlaps.max(1) > 0.7).all()


def test_the_surest_component_has_the_score_of_the_clip(trained):
    (result,) = trained.eval().test_step([planted_clip(5)])
    inputs = trained.data_preprocessor.prepare([planted_clip(5)])
    probabilities = trained.detector(inputs.batch.clips).logits.sigmoid()[0]
    np.testing.assert_allclose(result.class_scores.max(0), probabilities.detach(), rtol=1e-5)
    assert set(np.unique(result.presence)) <= {0.0, 1.0}


def test_a_clip_without_annotation_has_tubelets_and_no_overlaps(trained):
    (result,) = trained.eval().test_step([without_actors(planted_clip(5))])
    assert len(result.boxes)
    assert result.map_overlaps.shape == (0, len(THRESHOLDS))


@pytest.mark.parametrize("mixer", [CUBOIDS, StillMix(), Chain([StillMix(), CUBOIDS])])
def test_training_with_a_mixer_and_a_penalty_asks_for_no_boxes(train, mixer):
    model = train(1, mixer, penalty=GradientPenalty(1.0))
    clips = [without_actors(planted_clip(number)) for number in range(4)]
    losses = model(model.data_preprocessor.prepare(clips, True), mode="loss")
    assert set(losses) == {"loss_class", "loss_pgg", "pgg_energy_outside", "pgg_energy_inside", "pgg_inside_share"}
    assert (losses["loss_pgg"] > 0) == (not isinstance(mixer, StillMix))


def test_boxes_change_nothing_in_training(train):
    """Clips that still have their actors give the same losses: nothing looks at them."""
    model = train(0, CuboidMix(probability=1.0, min_visible=0.0), penalty=GradientPenalty(1.0))
    losses = []
    for strip in (without_actors, lambda clip: clip):
        clips = [strip(planted_clip(number)) for number in range(4)]
        model.data_preprocessor._batch_number = None
        losses.append(model(model.data_preprocessor.prepare(clips, True), mode="loss"))
    assert {name: value.item() for name, value in losses[0].items()} == {
        name: pytest.approx(value.item()) for name, value in losses[1].items()
    }


@pytest.mark.parametrize("mixer", [BatchMix(), Chain([CuboidMix(), BatchMix()])])
def test_mixers_that_need_boxes_are_refused(train, mixer):
    with pytest.raises(ConfigError, match="BatchMix: a ClipModel knows no boxes"):
        train(0, mixer)


@pytest.mark.parametrize("masks", [ProvenanceMasks(), RandomMasks(), DifferenceMasks()])
def test_masks_of_actors_are_refused(train, masks):
    with pytest.raises(ConfigError, match="a ClipModel knows no actors"):
        train(0, penalty_masks=masks)


@pytest.mark.parametrize("masks", [SourceClipMasks(), RandomMasks(of=SourceClipMasks()), EmptyMasks()])
def test_the_paper_s_masks_and_both_controls_are_taken(train, masks):
    model = train(0, CUBOIDS, penalty=GradientPenalty(1.0), penalty_masks=masks)
    clips = [without_actors(planted_clip(number)) for number in range(4)]
    assert model(model.data_preprocessor.prepare(clips, True), mode="loss")["loss_pgg"] > 0


@pytest.mark.parametrize("settings", [{"threshold": 1.0}, {"threshold": -0.1}, {"min_score": 2.0}])
def test_thresholds_that_leave_nothing_are_refused(train, settings):
    with pytest.raises(ConfigError, match=str(next(iter(settings.values())))):
        train(0, **settings)


def test_thresholds_of_another_set_are_taken_and_named(trained, tmp_path):
    clips = [planted_clip(number) for number in (0, 1, 4, 5)]
    chosen = evaluate(trained, clips[:2], origin={"split": "val"})
    out = tmp_path / "metrics.json"
    metrics = evaluate(trained, clips[2:], thresholds_of=chosen, out=out)
    summary = json.loads(out.read_text())
    assert summary["max_box_acc"]["thresholds_chosen_on"] == "val"
    assert metrics.evaluation.maps.thresholds.values == chosen.evaluation.maps.thresholds.values
    assert MAX_BOX_ACC in summary["intervals"]


def test_thresholds_cannot_be_chosen_where_no_one_acts(trained):
    empty = evaluate(trained, [without_actors(planted_clip(0))], origin={"split": "scene_only"})
    assert empty.evaluation.summary[MAX_BOX_ACC] is None
    with pytest.raises(ConfigError, match="no map has an actor to locate"):
        evaluate(trained, [planted_clip(1)], thresholds_of=empty)


def test_repeated_frames_are_looked_at_once():
    clip = planted_clip(0)
    repeated = [0, 0, 1, 2, 3, 3, 3]
    longer = dataclasses.replace(
        clip,
        frames=clip.frames[:, repeated],
        boxes=clip.boxes[:, repeated],
        valid=clip.valid[:, repeated],
        frame_indices=torch.tensor(repeated),
    )
    maps = np.random.default_rng(0).integers(0, 9, (1, FRAMES, HEIGHT, WIDTH)) / 8
    row, label = torch.tensor([0]), clip.labels
    (once,) = locate_actors(maps, row, label, [clip])
    (again,) = locate_actors(maps[:, repeated], row, label, [longer])
    np.testing.assert_array_equal(once, again)


def test_a_clip_that_comes_twice_counts_once(trained):
    clips = [planted_clip(0), planted_clip(1)]
    annotations = Annotations(("red", "green"), tuple(map(as_video, clips)))
    results: list[LocatedClip] = trained.eval().test_step(clips)
    collectors = [MapCollector(), MapCollector()]
    for result in (results[1], results[0]):
        collectors[0].add(result)
    collectors[1].add(results[1])
    overlaps = MapCollector().merge(collectors).overlaps(annotations)
    assert overlaps.videos.tolist() == [0, 1]
    np.testing.assert_array_equal(overlaps.overlaps, np.concatenate([result.map_overlaps for result in results]))
    assert MapCollector().overlaps(annotations) is None
