"""The tube detector: what goes in, what comes out, and that it can learn."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from stal.errors import ConfigError, ShapeError
from stal.models.backbone import SlowFast
from stal.models.detector import TubeDetector
from stal.models.roi_head import decode_boxes, encode_boxes
from stal.structures import ClipBatch


def small_backbone(**changes) -> SlowFast:
    arguments = {"depth": 18, "width": 8, "channel_ratio": 4, "norm": "group", "fusion_kernel": 3}
    return SlowFast(**{**arguments, "spatial_strides": (1, 2, 1, 1), "stem_kernels": ((1, 3, 3), (3, 3, 3)), **changes})


def small_detector(**changes) -> TubeDetector:
    torch.manual_seed(0)
    return TubeDetector(
        small_backbone(),
        num_classes=3,
        proposals={"channels": 16, "anchor_sizes": (16,), "aspect_ratios": (1.0, 2.0), "num_train": 8, "num_test": 8},
        regressor={"channels": 16, "bins": 3},
        classifier={"bins": 3, "dropout": 0.0},
        num_samples=8,
        **changes,
    )


def batch_of_squares() -> ClipBatch:
    """Two clips of noise: a bright square that moves right (class 0), and a red one that stands still (class 1)."""
    torch.manual_seed(1)
    clips = torch.randn(2, 3, 8, 32, 48) * 0.2
    boxes = torch.zeros(2, 8, 4)
    for t in range(8):
        boxes[0, t] = torch.tensor([4.0 + 2 * t, 8.0, 20.0 + 2 * t, 24.0])
        boxes[1, t] = torch.tensor([24.0, 10.0, 38.0, 28.0])
        for clip, channels in ((0, slice(0, 3)), (1, slice(0, 1))):
            x1, y1, x2, y2 = boxes[clip, t].int().tolist()
            clips[clip, channels, t, y1:y2, x1:x2] += 2
    valid = torch.ones(1, 8, dtype=torch.bool)
    return ClipBatch(
        clips, (boxes[:1], boxes[1:]), (valid, valid.clone()), (torch.tensor([0]), torch.tensor([1])), None
    )


def test_features_of_both_pathways_have_the_declared_size():
    backbone = small_backbone()
    slow, fast, fine = backbone(torch.randn(2, 3, 8, 32, 48))
    assert slow.shape == (2, backbone.slow_channels, 2, 32 // backbone.spatial_stride, 48 // backbone.spatial_stride)
    assert fast.shape == (2, backbone.fast_channels, 8, *slow.shape[-2:])
    assert fine.shape == (2, backbone.fine_channels, 8, 32 // backbone.fine_stride, 48 // backbone.fine_stride)


def test_the_input_gradient_reaches_every_frame_through_both_pathways():
    backbone = small_backbone()
    clips = torch.randn(1, 3, 8, 32, 32, requires_grad=True)
    slow, fast, _ = backbone(clips)
    of_slow, of_fast = (torch.autograd.grad(f.square().sum(), clips, retain_graph=True)[0] for f in (slow, fast))
    assert (of_slow.abs().sum((0, 1, 3, 4)) > 0).all()  # by way of the fusion also the frames it does not see itself
    assert (of_fast.abs().sum((0, 1, 3, 4)) > 0).all()


def test_clips_of_a_batch_do_not_see_each_other_with_group_norm():
    backbone = small_backbone().train()
    clips = torch.randn(2, 3, 8, 32, 32)
    alone = backbone(clips[:1]).slow
    torch.testing.assert_close(backbone(clips).slow[:1], alone, atol=1e-5, rtol=1e-4)


def test_frozen_batch_norm_stays_frozen_in_training():
    backbone = small_backbone(norm="frozen_batch").train()
    before = {name: buffer.clone() for name, buffer in backbone.named_buffers()}
    backbone(torch.randn(2, 3, 8, 32, 32))
    assert before
    assert all(torch.equal(before[name], buffer) for name, buffer in backbone.named_buffers())


def test_a_clip_that_cannot_be_shared_out_to_the_slow_pathway_is_refused():
    with pytest.raises(ShapeError, match="alpha=4"):
        small_backbone()(torch.randn(1, 3, 6, 32, 32))


@pytest.mark.parametrize("changes", [{"norm": "layer"}, {"width": 9}])
def test_impossible_backbones_are_refused(changes):
    with pytest.raises((ConfigError, TypeError)):
        small_backbone(**changes)


@given(st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_decoding_undoes_encoding(seed):
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(2, 5, 2, 2, generator=generator) * 50
    boxes, anchors = torch.cat([corners.amin(2), corners.amax(2) + 1], dim=-1)
    torch.testing.assert_close(decode_boxes(encode_boxes(boxes, anchors), anchors), boxes, atol=1e-3, rtol=1e-4)


def test_losses_are_finite_and_actors_are_scored():
    output = small_detector().train().loss(batch_of_squares())
    assert set(output.losses) == {
        "loss_objectness", "loss_proposal_box", "loss_box", "loss_presence", "loss_class"
    }  # fmt: skip
    assert all(torch.isfinite(loss) for loss in output.losses.values())
    assert output.logits.shape == (2, 3)
    assert output.rois.tubelets.equal(torch.cat(batch_of_squares().boxes))
    assert output.rows.actors.tolist() == [[True, False], [False, True]]
    assert output.rows.clip_index.tolist() == output.rows.labels.tolist() == [0, 1]


def test_actor_logits_are_those_of_the_actors_own_tubes():
    detector, batch = small_detector().eval(), batch_of_squares()
    detector.proposals.train()
    output = detector.loss(batch)
    logits = detector.class_logits(batch.clips, torch.cat(batch.boxes), torch.tensor([0, 1]))
    torch.testing.assert_close(output.logits, logits)


def test_actor_logits_are_a_linear_function_of_their_features_after_dropout():
    detector, batch = small_detector().train(), batch_of_squares()
    detector.classifier.dropout = 0.5
    output = detector.loss(batch)
    assert set(output.rois.dropout.unique().tolist()) == {0.0, 2.0}
    torch.testing.assert_close(output.logits, detector.classifier.logits(output.features * output.rois.dropout))


def test_actors_can_be_scored_again_with_the_same_dropout():
    detector, batch = small_detector().train(), batch_of_squares()
    detector.classifier.dropout = 0.5
    output = detector.loss(batch)
    for _ in range(2):
        again = detector.class_logits(batch.clips, output.rois.tubelets, output.rows.clip_index, output.rois.dropout)
        torch.testing.assert_close(again, output.logits)
    drawn = detector.class_logits(batch.clips, output.rois.tubelets, output.rows.clip_index)
    assert not torch.allclose(drawn, output.logits)


def test_dropout_keeps_everything_outside_training():
    classifier = small_detector().classifier
    classifier.dropout = 0.5
    assert classifier.eval().draw_dropout(2).unique().tolist() == [1.0]


def test_the_share_is_that_of_the_actors_terms_in_the_classification_loss():
    detector, batch = small_detector().train(), batch_of_squares()
    output = detector.loss(batch)
    assert output.share == 2 / (2 + 2 * 8)  # two actors, and 8 samples of each clip
    own = F.binary_cross_entropy_with_logits(output.logits, torch.eye(2, 3), reduction="sum") / 2
    # Of the actors alone, as samples of no clip.
    detector.num_samples = 0
    alone = detector.loss(batch)
    assert alone.share == 1
    torch.testing.assert_close(alone.losses["loss_class"], own)


def test_label_weights_are_the_targets_of_the_actors_and_of_the_samples_that_show_them():
    detector, batch = small_detector().train(), batch_of_squares()

    def trained(weights):
        torch.manual_seed(5)
        output = detector.loss(
            dataclasses.replace(batch, label_weights=weights), [boxes[:, 4] for boxes in batch.boxes]
        )
        (of_bias,) = torch.autograd.grad(output.losses["loss_class"], detector.classifier.logits.bias)
        return output.losses, of_bias

    whole, of_bias = trained((torch.ones(1), torch.ones(1)))
    torch.testing.assert_close(trained(None)[0], whole)
    less, of_less = trained((torch.ones(1), torch.tensor([0.25])))
    # The gradient of a class's bias is the mean of scores minus targets. Of 6 tubelets 3 show the second actor, which
    # is of class 1: the actor itself, the proposal, and the actor's own box among the samples.
    torch.testing.assert_close(of_less - of_bias, torch.tensor([0.0, 0.75 * 3 / 6, 0.0]))
    assert all(less[name] == whole[name] for name in whole if name != "loss_class")


def test_a_batch_without_actors_can_be_trained_on():
    batch = batch_of_squares()
    none = torch.zeros(0, dtype=torch.int64)
    empty = ClipBatch(
        batch.clips, (torch.zeros(0, 8, 4),) * 2, (torch.zeros(0, 8, dtype=torch.bool),) * 2, (none, none)
    )
    output = small_detector().train().loss(empty)
    sum(output.losses.values()).backward()
    assert output.logits.shape == (0, 3)
    assert output.rois.tubelets.shape == (0, 8, 4)
    assert output.share == 0


def test_given_proposals_replace_the_detectors_own():
    detector, batch = small_detector().eval(), batch_of_squares()
    detector.min_score = 0.0
    given = [torch.tensor([[4.0, 8.0, 20.0, 24.0]]), torch.zeros(0, 4)]
    first, second = detector.predict(batch.clips, given)
    assert first.boxes.shape == (1, 8, 4)
    assert second.boxes.shape == (0, 8, 4)
    assert second.class_scores.shape == (0, 3)


@pytest.mark.slow
def test_a_detector_trained_on_two_clips_finds_their_actors():
    detector, batch = small_detector().train(), batch_of_squares()
    optimizer = torch.optim.AdamW(detector.parameters(), lr=3e-3)
    for _ in range(110):
        optimizer.zero_grad()
        sum(detector.loss(batch).losses.values()).backward()
        optimizer.step()
    for clip, tubelets in enumerate(detector.eval().predict(batch.clips)):
        best = int(tubelets.class_scores.max(1).values.argmax())
        assert tubelets.class_scores[best].argmax() == clip
        distance = (tubelets.boxes[best] - batch.boxes[clip][0]).abs().max()
        assert distance < 4  # the moving square moves by 14
        assert tubelets.presence[best].min() > 0.5


def test_boxes_weigh_as_much_as_asked():
    light, plain = small_detector(box_weight=0.25), small_detector()
    losses = []
    for detector in (plain, light):
        torch.manual_seed(0)
        losses.append(detector.loss(batch_of_squares()).losses)
    for name in ("loss_box", "loss_presence"):
        assert losses[1][name].item() == pytest.approx(0.25 * losses[0][name].item(), rel=1e-5)
    for name in losses[0].keys() - {"loss_box", "loss_presence"}:  # the proposals keep their own
        assert losses[1][name].item() == pytest.approx(losses[0][name].item(), rel=1e-5)
    assert len(losses[0]) > 3


@pytest.mark.parametrize("box_weight", [-0.1, float("nan"), float("inf")])
def test_a_weight_of_boxes_without_meaning_is_refused(box_weight):
    with pytest.raises(ConfigError, match="box_weight"):
        small_detector(box_weight=box_weight)
