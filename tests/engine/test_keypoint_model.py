"""The model of joints: its penalty against the paper's formula and central differences, what it predicts, and tools."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub

from stal.data.scenes import generate
from stal.engine.entry import test as run_test
from stal.engine.entry import train
from stal.engine.keypoint_model import KeypointModel
from stal.engine.keypoint_preprocessor import KeypointPreprocessor
from stal.errors import ConfigError
from stal.losses.gradient_penalty import GradientPenalty
from stal.losses.pgd_ex import PGDEx
from stal.mixing.keypoint_mix import KeypointMix, RandomPersonMasks
from stal.mixing.mask_sources import EmptyMasks
from stal.models.keypoint_pooling import KeypointPooling
from stal.models.keypoint_training import learn_clips, learn_persons
from stal.structures import Clip, ClipBatch

FRAMES, CLASSES = 2, 3
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _message_hub() -> Iterator[None]:
    MessageHub._instance_dict.clear()
    yield
    MessageHub._instance_dict.clear()


def clip(num_persons: int, labels: list[int], seed: int) -> Clip:
    """Return persons who do the labels of their video by turns, the last one nothing; joints are there by chance."""
    generator = torch.Generator().manual_seed(seed)
    points = 50 * torch.rand(3, FRAMES, num_persons, 17, generator=generator)
    points[2] = torch.rand(FRAMES, num_persons, 17, generator=generator).round()
    own = [*(labels * num_persons)[: max(num_persons - 1, 0)], *[-1] * min(num_persons, 1)]
    return Clip(
        frames=points,
        boxes=torch.tensor([1.0, 2, 20, 30]).repeat(num_persons, FRAMES, 1) + torch.arange(num_persons)[:, None, None],
        valid=torch.ones(num_persons, FRAMES, dtype=torch.bool),
        labels=torch.tensor(own, dtype=torch.int64),
        actor_masks=None,
        video_key=f"video {seed}",
        frame_indices=torch.arange(FRAMES),
        to_video=torch.tensor([1.0, 1, 0, 0]),
        video_size=(60, 80),
        video_labels=torch.tensor(labels),
    )


CLIPS = (clip(2, [0, 1], 0), clip(1, [2], 1), clip(2, [1], 2))


def network(**arguments: object) -> KeypointPooling:
    torch.manual_seed(0)
    return KeypointPooling(num_classes=CLASSES, num_frames=FRAMES, channels=6, **arguments)  # type: ignore[arg-type]


def model(
    penalty: object = None, mixer: KeypointMix | None = None, masks: object = None, **arguments: object
) -> KeypointModel:
    preprocessor = KeypointPreprocessor(mixer, max_persons=4, seed=0)
    return KeypointModel(network(**arguments), preprocessor, penalty=penalty, penalty_masks=masks)  # type: ignore[arg-type]


def in_float64(batch: ClipBatch) -> ClipBatch:
    return dataclasses.replace(batch, clips=batch.clips.double().requires_grad_())


def paper_penalty(net: KeypointPooling, batch: ClipBatch) -> torch.Tensor:
    """Return the sum over clips and labels of || (1 - M) . grad f ||^2, by a loop over points and the paper's words."""
    assert batch.provenance is not None and batch.sources is not None and batch.video_labels is not None
    total = torch.zeros((), dtype=torch.float64)
    for b in range(len(batch)):
        labels = sorted({k for s in batch.sources[b].tolist() for k in batch.video_labels[s].tolist()})
        for label in labels:
            cloud = batch.clips[b : b + 1].detach().requires_grad_()
            logits = net.classify(net.pool(net(cloud, batch.provenance[b : b + 1] > 0)))
            (gradient,) = torch.autograd.grad(logits[0, label], cloud, create_graph=True)
            for person in range(cloud.shape[3]):
                own = person < len(batch.sources[b]) and label in batch.video_labels[int(batch.sources[b][person])]
                if not own:
                    total = total + gradient[0, :, :, person].square().sum()
    return total


def test_the_penalty_is_the_papers_and_its_gradient_that_of_differences() -> None:
    subject = model(GradientPenalty(1.0, reduction="sum"), KeypointMix(1.0))
    subject.detector.double()
    inputs = subject.data_preprocessor.prepare(list(CLIPS), training=True)
    batch = in_float64(inputs.batch)

    def penalty() -> torch.Tensor:
        return subject(dataclasses.replace(inputs, batch=batch), mode="loss")["loss_pgg"]

    value = penalty()
    expected = paper_penalty(subject.detector, batch) / len(batch)
    torch.testing.assert_close(value, expected, rtol=1e-10, atol=0)
    assert value > 0
    weights = [
        subject.detector.enter.weight,
        subject.detector.frames.beside[0].weight,
        subject.detector.classify.weight,
    ]
    gradients = torch.autograd.grad(value, weights)
    generator = torch.Generator().manual_seed(0)
    for weight, gradient in zip(weights, gradients, strict=True):
        direction = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        step, values = 1e-6, []
        for sign in (1, -1):
            with torch.no_grad():
                weight += sign * step * direction
            values.append(penalty().item())
            with torch.no_grad():
                weight -= sign * step * direction
        slope = (values[0] - values[1]) / (2 * step)
        assert slope == pytest.approx(float((gradient * direction).sum()), rel=1e-5)


@pytest.mark.parametrize("train_pool", ["clip", "person"])
def test_rows_are_scored_alike_again_also_alone_and_on_held_frames(train_pool: str) -> None:
    net = network(train_pool=train_pool).eval()
    batch = model(mixer=KeypointMix(1.0)).data_preprocessor.prepare(list(CLIPS), training=True).batch
    output = (learn_clips if train_pool == "clip" else learn_persons)(net, batch)
    torch.testing.assert_close(output.score(batch.clips), output.logits)
    rows = torch.tensor([1, len(output.rows) - 1])
    kept = output.rows.clip_index[rows].unique()
    torch.testing.assert_close(output.score(batch.clips[kept], rows=rows), output.logits[rows])
    frames = torch.tensor([1, 0, 1])
    held = output.score(batch.clips, frames)
    assert held.shape == output.logits.shape
    assert not torch.allclose(held, output.logits)
    assert output.features is not None
    torch.testing.assert_close(net.classify(output.features), output.logits)


def test_clip_training_reads_no_label_of_a_person_and_person_training_all_of_them() -> None:
    net = network()
    batch = model().data_preprocessor.prepare(list(CLIPS), training=True).batch
    renamed = dataclasses.replace(batch, labels=tuple(torch.zeros_like(labels) for labels in batch.labels))
    one, other = learn_clips(net, batch), learn_clips(net, renamed)
    assert one.losses["loss_class"] == other.losses["loss_class"]
    assert one.rows.labels.tolist() == [0, 1, 2, 1]
    assert one.clip_targets is not None
    assert one.clip_targets.tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1], [0, 1, 0]]
    persons = learn_persons(net, batch)
    assert persons.losses["loss_class"] != learn_persons(net, renamed).losses["loss_class"]
    assert (persons.rows.labels.tolist(), persons.share) == ([0, 1], 0.4)


@pytest.mark.parametrize("train_pool", ["clip", "person"])
@pytest.mark.parametrize(
    ("penalty", "masks"),
    [
        (GradientPenalty(0.1, squared="time"), RandomPersonMasks()),
        (GradientPenalty(0.1, target="sum_log_probability"), EmptyMasks()),
        (GradientPenalty(0.1, estimator="finite_difference"), EmptyMasks()),
        (GradientPenalty(0.1, subset=0.5), EmptyMasks()),
        (PGDEx(0.1), None),
    ],
)
def test_every_penalty_reaches_the_weights(train_pool: str, penalty: object, masks: object) -> None:
    subject = model(penalty, KeypointMix(1.0), masks, train_pool=train_pool)
    losses = subject(**subject.data_preprocessor(list(CLIPS), True), mode="loss")
    added = next(value for name, value in losses.items() if name.startswith("loss_") and name != "loss_class")
    assert torch.isfinite(added)
    added.backward()
    assert subject.detector.enter.weight.grad is not None
    assert subject.detector.enter.weight.grad.any()


def test_other_people_change_the_score_of_a_clip_and_never_that_of_a_person() -> None:
    for train_pool in ("clip", "person"):
        subject = model(GradientPenalty(0.1), KeypointMix(1.0), train_pool=train_pool)
        losses = subject(**subject.data_preprocessor(list(CLIPS), True), mode="loss")
        assert (losses["loss_pgg"] > 0) == (train_pool == "clip")
        assert losses["pgg_energy_inside"] > 0


@pytest.mark.parametrize("train_pool", ["clip", "person"])
def test_clips_without_persons_can_be_trained_on(train_pool: str) -> None:
    subject = model(GradientPenalty(0.1), KeypointMix(1.0), train_pool=train_pool)
    losses = subject(**subject.data_preprocessor([clip(0, [1], 0), clip(0, [2], 1)], True), mode="loss")
    assert losses["loss_class"] == losses["loss_pgg"] == 0
    subject.parse_losses(losses)[0].backward()


def test_results_are_in_the_video_with_a_row_for_each_boxed_person() -> None:
    first = dataclasses.replace(CLIPS[0], valid=torch.tensor([[False, False], [True, False]]))
    subject = model().eval()
    with torch.no_grad():
        results = subject(**subject.data_preprocessor([first, CLIPS[1], clip(0, [1], 4)]), mode="predict")
        alone = subject(**subject.data_preprocessor([first]), mode="predict")
    assert [len(result.boxes) for result in results] == [1, 1, 0]
    np.testing.assert_array_equal(results[0].boxes[0], [[2, 3, 21, 31]] * 2)
    assert results[0].presence.tolist() == [[1, 0]]
    assert results[0].class_scores.shape == (1, CLASSES)
    np.testing.assert_allclose(alone[0].class_scores, results[0].class_scores, rtol=1e-5)
    everyone = subject(**subject.data_preprocessor([CLIPS[0]]), mode="predict")[0]
    np.testing.assert_allclose(everyone.class_scores[1], results[0].class_scores[0], rtol=1e-5)


def test_training_has_a_number_of_places_and_keeps_the_surest_persons() -> None:
    crowd = clip(6, [0], 3)
    batch = KeypointPreprocessor(max_persons=4).prepare([crowd, CLIPS[1]], training=True).batch
    assert batch.clips.shape == (2, 3, FRAMES, 4, 17)
    kept = crowd.frames[2].sum((0, 2)).topk(4).indices.sort().values
    assert torch.equal(batch.boxes[0], crowd.boxes[kept])
    assert torch.equal(batch.clips[0, 2], crowd.frames[2][:, kept])
    tested = KeypointPreprocessor(max_persons=4).prepare([crowd, CLIPS[1]]).batch
    assert tested.clips.shape[3] == 6
    with pytest.raises(ConfigError, match="max_persons = 0 must be at least 1"):
        KeypointPreprocessor(max_persons=0)


@pytest.mark.slow
def test_the_config_is_trained_and_tested_by_the_tools_functions(tmp_path: Path) -> None:
    generate(tmp_path / "data", 4, splits=("train", "iid"), width=96, height=72, mixed_actions=1.0, keypoints=True)
    config = str(ROOT / "configs" / "scenes_keypoints_batchmix_pgg.py")
    options = {
        "data.path": str(tmp_path / "data" / "annotations.json"),
        "train_dataloader.batch_size": 4,
        "train_cfg.max_epochs": 1,
        "validation.split": "iid",
    }
    work_dir = train(config, work_dir=str(tmp_path / "work"), options=options)
    headlines = run_test(config, str(work_dir), work_dir=str(work_dir), options=options, headlines_only=True)
    assert 0 <= headlines["frame_mAP@0.5"] <= 100
    assert (work_dir / "metrics.json").is_file()
