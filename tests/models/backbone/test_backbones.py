"""What holds for every backbone."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from stal.attribution.methods import attribute
from stal.errors import ConfigError, ShapeError
from stal.losses.gradient_energy import gradient_energy
from stal.models.backbone import Backbone, PathwayFeatures
from stal.models.detector import TubeDetector
from stal.structures import ClipBatch

FEW = {"channels": 8, "bins": 2}


def build_detector(backbone: Backbone) -> TubeDetector:
    torch.manual_seed(0)
    proposals = {"channels": 8, "anchor_sizes": (16,), "aspect_ratios": (1.0,), "num_train": 4, "num_test": 4}
    detector = TubeDetector(
        backbone,
        num_classes=3,
        proposals=proposals,
        regressor=FEW,
        classifier={"bins": 3, "dropout": 0.0},
        num_samples=4,
        min_score=0.0,
    )
    torch.nn.init.normal_(detector.classifier.logits.weight)
    return detector


def tubelets_of(clips: Tensor) -> Tensor:
    return torch.tensor([[6.0, 4.0, 30.0, 28.0], [10.0, 8.0, 44.0, 34.0]])[:, None].repeat(1, clips.shape[2], 1)


def penalty_of(detector: TubeDetector, clips: Tensor) -> Tensor:
    """The gradient penalty of an actor in each clip, which is in its boxes."""
    clips = clips.detach().requires_grad_()
    index = torch.arange(len(clips))
    scores = detector.class_logits(clips, tubelets_of(clips), index)[:, 1]
    masks = torch.zeros(len(clips), *clips.shape[2:], dtype=torch.bool)
    masks[..., 8:28, 10:30] = True
    return gradient_energy(scores, clips, masks, index).outside.sum() * 1e-3


def features_of(backbone: Backbone, clips: Tensor) -> Tensor:
    """All features in a row."""
    return torch.cat([maps.flatten() for maps in backbone(clips) if maps is not None])


def test_features_have_the_declared_size(make_backbone, clips):
    backbone = make_backbone().eval()
    features = backbone(clips)
    _, _, num_frames, height, width = clips.shape
    grid = [-(-side // backbone.spatial_stride) for side in (height, width)]
    fine_grid = [-(-side // backbone.fine_stride) for side in (height, width)]
    num_slow = len(backbone.slow_frames(num_frames))
    assert isinstance(features, PathwayFeatures) and backbone.spatial_stride == 16
    assert list(features.slow.shape) == [2, backbone.slow_channels, num_slow, *grid]
    if backbone.fast_channels:
        assert list(features.fast.shape) == [2, backbone.fast_channels, num_frames, *grid]
    else:
        assert features.fast is None
    assert list(features.fine.shape) in [
        [2, backbone.fine_channels, frames, *fine_grid] for frames in (num_slow, num_frames)
    ]


def test_slow_frames_are_of_equal_parts_of_the_clip(make_backbone):
    frames = make_backbone().slow_frames(8)
    parts = 8 // len(frames)
    assert (frames // parts).tolist() == list(range(len(frames)))


def test_clips_of_a_batch_do_not_see_each_other(make_backbone, clips):
    backbone = make_backbone().train()
    alone = torch.cat([features_of(backbone, clip[None]).reshape(1, -1) for clip in clips])
    together = torch.cat([maps.flatten(1) for maps in backbone(clips) if maps is not None], dim=1)
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_the_ends_of_the_pathways_give_the_features(make_backbone, clips):
    backbone, found = make_backbone().eval(), []
    hooks = [end.register_forward_hook(lambda *of_call: found.append(of_call[-1])) for end in backbone.pathway_ends]
    coarse = backbone(clips).coarse
    for hook in hooks:
        hook.remove()
    assert len(coarse) == len(found)
    assert all(torch.equal(maps, end) for maps, end in zip(coarse, found, strict=True))


def test_every_frame_of_a_clip_that_is_seen_has_a_gradient(name, make_backbone, clips):
    backbone = make_backbone().eval()
    clips.requires_grad_()
    (gradient,) = torch.autograd.grad(features_of(backbone, clips).square().sum(), clips)
    reached = gradient.abs().sum((0, 1, 3, 4)) > 0
    expected = torch.ones(8, dtype=torch.bool)
    if name == "SlowOnly":
        expected = torch.zeros(8, dtype=torch.bool).index_fill(0, backbone.slow_frames(8), True)
    assert torch.equal(reached, expected)


def test_the_input_gradient_of_all_features_is_that_of_central_differences(make_backbone, clips):
    backbone, clips = make_backbone().double().eval(), clips.double().requires_grad_()
    generator = torch.Generator().manual_seed(2)
    weights = [
        torch.randn(maps.shape, generator=generator, dtype=maps.dtype) for maps in backbone(clips) if maps is not None
    ]
    direction = torch.randn(clips.shape, generator=generator, dtype=clips.dtype)
    step = 1e-6 * direction
    for part, weight in enumerate(weights):

        def score(given: Tensor, part: int = part, weight: Tensor = weight) -> Tensor:
            return (weight * [maps for maps in backbone(given) if maps is not None][part]).sum()

        (gradient,) = torch.autograd.grad(score(clips), clips)
        with torch.no_grad():
            expected = (score(clips + step) - score(clips - step)) / 2e-6
        torch.testing.assert_close((gradient * direction).sum(), expected, rtol=1e-4, atol=0.0)


def test_the_double_backward_is_that_of_central_differences(make_backbone, clips):
    detector = build_detector(make_backbone()).double().eval()
    clips = clips.double()
    weights = [*detector.backbone.parameters(), *detector.classifier.parameters()]
    gradients = torch.autograd.grad(penalty_of(detector, clips), weights, allow_unused=True)
    generator = torch.Generator().manual_seed(3)
    directions = [torch.randn(weight.shape, generator=generator, dtype=weight.dtype) for weight in weights]
    slope = sum((g * d).sum() for g, d in zip(gradients, directions, strict=True) if g is not None)
    step, penalties = 1e-7, []
    for sign in (1, -2):
        with torch.no_grad():
            for weight, direction in zip(weights, directions, strict=True):
                weight += sign * step * direction
        penalties.append(penalty_of(detector, clips).detach())
    expected = (penalties[0] - penalties[1]) / (2 * step)
    assert abs(expected) > 1e-3
    torch.testing.assert_close(slope, expected, rtol=1e-4, atol=0.0)


def test_checkpointing_changes_neither_values_nor_gradients_of_a_penalty(make_backbone, clips):
    found, clips = [], clips.double()
    for checkpoint_stages in (False, True):
        detector = build_detector(make_backbone(checkpoint_stages=checkpoint_stages)).double().train()
        assert detector.backbone.checkpoint_stages == checkpoint_stages
        logits = detector.class_logits(clips, tubelets_of(clips), torch.arange(2))
        total = penalty_of(detector, clips) + logits.square().sum()
        total.backward()
        found.append((total.detach(), {key: weight.grad for key, weight in detector.named_parameters()}))
    (plain, plain_gradients), (total, gradients) = found
    torch.testing.assert_close(total, plain, rtol=1e-12, atol=0.0)
    largest = max(gradient.abs().max().item() for gradient in gradients.values() if gradient is not None)
    for key, gradient in gradients.items():
        if gradient is None:
            assert plain_gradients[key] is None, key
        else:
            scale = plain_gradients[key].abs().max().item()
            torch.testing.assert_close(
                gradient, plain_gradients[key], rtol=0.0, atol=1e-9 * scale + 1e-13 * largest, msg=key
            )


def test_checkpointing_keeps_less_in_training_alone(make_backbone, clips):
    def num_kept(training: bool, **changes: object) -> int:
        kept = []

        def keep(values: Tensor) -> Tensor:
            kept.append(values.numel())
            return values

        backbone = make_backbone(**changes).train(training)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda values: values):
            features_of(backbone, clips)
        return sum(kept)

    assert num_kept(True, checkpoint_stages=True) < 0.6 * num_kept(True)
    assert num_kept(False, checkpoint_stages=True) == num_kept(False)


def test_a_detector_learns_from_it_and_predicts(make_backbone, clips):
    detector = build_detector(make_backbone()).train()
    tubelets = tubelets_of(clips)
    valid = torch.ones(1, clips.shape[2], dtype=torch.bool)
    labels = (torch.tensor([1]), torch.tensor([2]))
    batch = ClipBatch(clips, (tubelets[:1], tubelets[1:]), (valid, valid.clone()), labels, None)
    output = detector.loss(batch)
    sum(output.losses.values()).backward()
    assert all(torch.isfinite(loss) for loss in output.losses.values())
    without = [key for key, weight in detector.named_parameters() if weight.grad is None]
    assert without in ([], ["backbone.pos_encoding.class_token"])
    for found in detector.eval().predict(clips):
        assert found.boxes.shape == (len(found.class_scores), clips.shape[2], 4) and len(found.boxes)


def test_boxes_move_by_the_features_of_their_frame(make_backbone, clips):
    """A feature that stands for several frames is pooled with the box of each of them."""
    detector = build_detector(make_backbone()).eval()
    features = detector.backbone(clips)
    moving = tubelets_of(clips) + torch.arange(clips.shape[2])[:, None]
    strides = (detector.backbone.spatial_stride, detector.backbone.fine_stride)
    repeated = PathwayFeatures(
        features.slow.repeat_interleave(clips.shape[2] // features.slow.shape[2], dim=2),
        features.fast,
        features.fine.repeat_interleave(clips.shape[2] // features.fine.shape[2], dim=2),
    )
    for given, index in ((features, torch.tensor([1, 0])), (features, None)):
        steps, expected = (detector.regressor(each, moving, index, strides) for each in (given, repeated))
        for step, of_repeated in zip(steps, expected, strict=True):
            torch.testing.assert_close(step.deltas, of_repeated.deltas, rtol=1e-5, atol=1e-7)
            torch.testing.assert_close(step.presence, of_repeated.presence, rtol=1e-5, atol=1e-7)


def test_frames_that_cannot_be_shared_out_are_refused(make_backbone, clips):
    with pytest.raises(ShapeError, match="7 frames"):
        make_backbone()(clips[:, :, :7])


def test_pathways_are_told_apart_only_where_there_are_two(name, make_backbone, clips):
    detector = build_detector(make_backbone()).eval()
    clip, tubelet = clips[0], tubelets_of(clips)[0]
    assert attribute(detector, clip, tubelet, 1).any()
    seen = attribute(detector, clip, tubelet, 1, method="grad_cam_slow")
    assert seen.shape == (1, *clip.shape[1:]) and seen.any()
    if name == "SlowFast":
        assert attribute(detector, clip, tubelet, 1, pathway="slow").any()
        return
    with pytest.raises(ConfigError, match=f"{name} has one pathway.*'both'"):
        attribute(detector, clip, tubelet, 1, pathway="slow")
    with pytest.raises(ConfigError, match=f"{name} has one pathway.*'grad_cam_slow'"):
        attribute(detector, clip, tubelet, 1, method="grad_cam_fast")


def test_grad_cam_shows_slow_features_at_their_frames(make_backbone, clips):
    detector = build_detector(make_backbone()).eval()
    clip, tubelet = clips[0], tubelets_of(clips)[0]
    found = attribute(detector, clip, tubelet, 1, method="grad_cam_slow")[0]
    slow = detector.backbone(clip[None]).slow
    slow.retain_grad()
    frames = detector.backbone.slow_frames(clip.shape[1])
    logits, _ = detector.classifier(
        PathwayFeatures(slow, *detector.backbone(clip[None])[1:]), tubelet[None], torch.tensor([0]), frames, 1 / 16
    )
    logits[0, 1].backward()
    maps = (slow.grad.mean((2, 3, 4), keepdim=True) * slow).sum(1).relu().detach()
    maps = F.interpolate(maps, scale_factor=16.0, mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(found[frames], maps[:, : clip.shape[2], : clip.shape[3]], rtol=1e-3, atol=1e-5)
