"""A classifier of clips: its loss in mixed clips, and what a penalty is told."""

import pytest
import torch
from torch.nn import functional as F

from stal.losses.gradient_penalty import GradientPenalty
from stal.losses.scored_actors import ScoredActors
from stal.mixing.mask_sources import SourceClipMasks
from stal.models.clip_classifier import ClipClassifier
from stal.structures import ClipBatch

SIZE = (2, 4, 6)  # T, H, W
NUM_CLASSES = 3


@pytest.fixture
def classifier(pixel_backbone) -> ClipClassifier:
    torch.manual_seed(0)
    network = ClipClassifier(pixel_backbone(), num_classes=NUM_CLASSES, prior=0.3).double()
    torch.nn.init.normal_(network.logits.weight)
    return network


def mixed_batch(*video_labels: tuple[int, ...], sources: torch.Tensor | None = None) -> ClipBatch:
    """Clips without actors: of each the left third is of the next clip, and the rest its own."""
    num_clips = len(video_labels)
    if sources is None:
        sources = torch.arange(num_clips).view(-1, 1, 1, 1).repeat(1, *SIZE)
        sources[..., :2] = (sources[..., :2] + 1) % num_clips
    clips = torch.randn(num_clips, 3, *SIZE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return ClipBatch(
        clips=clips,
        boxes=(torch.zeros(0, SIZE[0], 4),) * num_clips,
        valid=(torch.zeros(0, SIZE[0], dtype=torch.bool),) * num_clips,
        labels=(torch.zeros(0, dtype=torch.int64),) * num_clips,
        provenance=torch.zeros(num_clips, *SIZE, dtype=torch.int16),
        sources=(torch.zeros(0, dtype=torch.int64),) * num_clips,
        voxel_sources=sources.to(torch.int16),
        video_labels=tuple(torch.tensor(labels, dtype=torch.int64) for labels in video_labels),
    )


@pytest.mark.parametrize(
    ("video_labels", "targets"),
    [
        pytest.param([(0,), (1,)], [[2 / 3, 1 / 3, 0], [1 / 3, 2 / 3, 0]], id="different"),
        pytest.param([(2,), (2,)], [[0, 0, 1], [0, 0, 1]], id="the same"),
        pytest.param([(0, 1), (1,)], [[2 / 3, 1, 0], [1 / 3, 1, 0]], id="one in common"),
        pytest.param([(), (1,)], [[0, 1 / 3, 0], [0, 2 / 3, 0]], id="one without"),
        pytest.param([(0,), (1,), (2,)], [[2 / 3, 1 / 3, 0], [0, 2 / 3, 1 / 3], [1 / 3, 0, 2 / 3]], id="three"),
    ],
)
def test_a_label_has_the_share_of_the_voxels_of_its_videos(classifier, video_labels, targets):
    batch = mixed_batch(*video_labels)
    output = classifier.loss(batch)
    logits = classifier(batch.clips).logits
    expected = torch.tensor(targets, dtype=torch.float64)
    loss = F.binary_cross_entropy_with_logits(logits, expected, reduction="sum") / len(batch)
    torch.testing.assert_close(output.losses["loss_class"], loss, rtol=1e-6, atol=0)
    assert output.rows.clip_index.tolist() == expected.nonzero()[:, 0].tolist()
    assert output.rows.labels.tolist() == expected.nonzero()[:, 1].tolist()
    torch.testing.assert_close(output.clip_targets, expected[output.rows.clip_index], rtol=1e-6, atol=0)


def test_clips_without_labels_have_a_loss_and_no_rows(classifier):
    output = classifier.loss(mixed_batch((), ()))
    assert output.losses["loss_class"] > 0
    assert len(output.rows) == 0
    assert output.logits.shape == (0, NUM_CLASSES)


def test_logits_are_linear_in_the_mean_features(classifier):
    batch = mixed_batch((0,), (1,))
    output = classifier.loss(batch)
    torch.testing.assert_close(output.logits, classifier.logits(output.features))
    features = classifier.backbone(batch.clips).slow
    torch.testing.assert_close(output.features, features.mean((2, 3, 4))[output.rows.clip_index])


def test_rows_are_scored_again_with_the_dropout_of_the_loss(pixel_backbone):
    torch.manual_seed(0)
    network = ClipClassifier(pixel_backbone(), num_classes=NUM_CLASSES, dropout=0.5).train().double()
    batch = mixed_batch((0,), (1,), (2,))
    output = network.loss(batch)
    torch.testing.assert_close(output.score(batch.clips), output.logits)
    rows = torch.tensor([1, 4, 5])  # of the first clip and of the last, which a penalty then scores alone
    assert output.rows.clip_index[rows].tolist() == [0, 2, 2]
    torch.testing.assert_close(output.score(batch.clips[[0, 2]], rows=rows), output.logits[rows])
    assert not torch.equal(network(batch.clips).logits[output.rows.clip_index], output.logits)


def penalty_of(classifier: ClipClassifier, batch: ClipBatch, penalty: GradientPenalty) -> torch.Tensor:
    clips = batch.clips.detach().requires_grad_()
    batch = ClipBatch(**{**vars(batch), "clips": clips})
    output = classifier.loss(batch)
    masks = SourceClipMasks()(batch, output.rows, torch.Generator())
    rows = ScoredActors(output.logits, output.rows.labels, clips, output.rows.clip_index, masks)
    return penalty(rows, step=0, generator=torch.Generator())["loss_pgg"]


def by_hand(classifier: ClipClassifier, batch: ClipBatch) -> torch.Tensor:
    """The paper's || (1 - M_A) . grad f_A + M_A . grad f_B ||^2, of clips of two sources, averaged over clips."""
    total = torch.zeros((), dtype=torch.float64)
    for number in range(len(batch)):
        clip = batch.clips[number : number + 1].detach().requires_grad_()
        logits = classifier(clip).logits[0]
        gradients = [torch.autograd.grad(logit, clip, create_graph=True)[0] for logit in logits]
        (a,), (b,) = batch.video_labels[number].tolist(), batch.video_labels[1 - number].tolist()
        mask = batch.voxel_sources[number] == number
        total = total + (~mask * gradients[a] + mask * gradients[b]).square().sum()
    return total / len(batch)


def test_the_penalty_of_two_sources_is_the_papers(classifier):
    batch = mixed_batch((0,), (2,))
    penalty = GradientPenalty(1.0, reduction="sum")
    torch.testing.assert_close(penalty_of(classifier, batch, penalty), by_hand(classifier, batch))


@pytest.mark.parametrize("squared", ["voxel", "ratio"])
def test_the_gradient_of_the_penalty_is_that_of_differences(classifier, squared):
    batch = mixed_batch((0, 1), (2,), (1,))
    penalty = GradientPenalty(1.0, squared=squared)
    weights = [parameter for parameter in classifier.parameters() if parameter.ndim > 1]
    gradients = torch.autograd.grad(penalty_of(classifier, batch, penalty), weights)
    directions = [torch.randn_like(weight) for weight in weights]
    exact = sum((g * d).sum() for g, d in zip(gradients, directions, strict=True))
    values = []
    for step in (1e-5, -2e-5):
        with torch.no_grad():
            for weight, direction in zip(weights, directions, strict=True):
                weight += step * direction
        values.append(penalty_of(classifier, batch, penalty).detach())
    torch.testing.assert_close(exact, (values[0] - values[1]) / 2e-5, rtol=1e-6, atol=1e-9)


def test_a_clip_that_is_not_mixed_has_nothing_outside(classifier):
    sources = torch.arange(2).view(-1, 1, 1, 1).repeat(1, *SIZE)
    batch = mixed_batch((0,), (1, 2), sources=sources)
    assert penalty_of(classifier, batch, GradientPenalty(1.0)) == 0
    assert classifier.loss(batch).clip_targets.tolist() == [[1, 0, 0], [0, 1, 1], [0, 1, 1]]
