import dataclasses

import pytest
import torch
from mmengine.logging import MessageHub
from torch import nn

from stal.engine.model import DetectionModel, clip_result
from stal.engine.preprocessor import ClipPreprocessor
from stal.errors import ConfigError
from stal.losses.gradient_penalty import GradientPenalty
from stal.mixing.batch_mix import BatchMix
from stal.models.backbone import SlowFast
from stal.models.detector import TubeDetector, Tubelets
from stal.structures import Clip

FRAMES, HEIGHT, WIDTH = 8, 32, 48


def small_detector(norm: str = "group") -> TubeDetector:
    torch.manual_seed(0)
    backbone = SlowFast(
        depth=18,
        width=8,
        channel_ratio=4,
        norm=norm,
        fusion_kernel=3,
        spatial_strides=(1, 2, 1, 1),
        stem_kernels=((1, 3, 3), (3, 3, 3)),
    )
    return TubeDetector(
        backbone,
        num_classes=3,
        proposals={"channels": 16, "anchor_sizes": (16,), "aspect_ratios": (1.0,), "num_train": 8, "num_test": 8},
        regressor={"channels": 16, "bins": 3},
        classifier={"bins": 3, "dropout": 0.0},
        num_samples=4,
        min_score=0.0,
    )


def small_model(penalty: float | None = None, proposals: str = "network", mixer: BatchMix | None = None):
    return DetectionModel(
        small_detector(),
        ClipPreprocessor(mixer, seed=0),
        penalty=None if penalty is None else GradientPenalty(penalty),
        proposals=proposals,
    )


def clip(boxes: list[list[float]], *, on_keyframe: bool = True, seed: int = 0) -> Clip:
    """Return noise in which actors stand still, of a video twice as large."""
    valid = torch.ones(len(boxes), FRAMES, dtype=torch.bool)
    valid[:, FRAMES // 2] = on_keyframe
    noise = torch.randint(0, 256, (3, FRAMES, HEIGHT, WIDTH), generator=torch.Generator().manual_seed(seed))
    return Clip(
        frames=noise.to(torch.uint8),
        boxes=torch.tensor(boxes).reshape(-1, 1, 4).repeat(1, FRAMES, 1) * valid[..., None],
        valid=valid,
        labels=torch.arange(len(boxes)) % 3,
        actor_masks=None,
        video_key=f"video {seed}",
        frame_indices=torch.arange(FRAMES),
        to_video=torch.tensor([2.0, 2.0, 0.0, 0.0]),
        video_size=(2 * HEIGHT, 2 * WIDTH),
    )


CLIPS = [clip([[4.0, 8.0, 20.0, 24.0], [24.0, 4.0, 40.0, 30.0]]), clip([[10.0, 2.0, 26.0, 30.0]], seed=1)]


def train_losses(model: DetectionModel, clips: list[Clip]) -> dict[str, torch.Tensor]:
    return model.train()(model.data_preprocessor.prepare(clips, True), mode="loss")


@pytest.fixture(autouse=True)
def message_hub(tmp_path) -> MessageHub:
    """Give each test a message hub of its own, as a runner has."""
    return MessageHub.get_instance(f"test in {tmp_path}")


def test_boxes_are_brought_to_the_video_and_repeated_frames_dropped():
    window = dataclasses.replace(
        CLIPS[0],
        frame_indices=torch.tensor([0, 0, 0, 1, 2, 3, 3, 3]),
        to_video=torch.tensor([-2.0, 1.5, 100.0, 3.0]),  # flipped
        video_size=(50, 90),
    )
    boxes = torch.tensor([2.0, 4.0, 12.0, 40.0]).repeat(1, FRAMES, 1)
    boxes[:, 3, 0] += 1
    presence = torch.linspace(0.1, 0.8, FRAMES)[None]
    result = clip_result(Tubelets(boxes, torch.tensor([[0.5, 0.0, 1.0]]), presence), window)
    assert result.video_key == window.video_key
    assert result.frames.tolist() == [0, 1, 2, 3]
    # x: 100 - 2 x, cut at 90; y: 1.5 y + 3, cut at 50
    assert result.boxes[0].tolist() == [[76, 9, 90, 50]] * 4
    assert result.presence[0].tolist() == pytest.approx([0.1, 0.4, 0.5, 0.6])
    assert result.class_scores[0].tolist() == [0.5, 0, 1]


def test_frames_between_those_of_a_clip_with_a_stride_are_interpolated():
    window = dataclasses.replace(CLIPS[0], frame_indices=torch.arange(10, 10 + 2 * FRAMES, 2))
    boxes = torch.tensor([2.0, 4.0, 12.0, 20.0]).repeat(1, FRAMES, 1)
    boxes[:, :, 0] += torch.arange(FRAMES)
    result = clip_result(Tubelets(boxes, torch.ones(1, 3), torch.linspace(0, 0.7, FRAMES)[None]), window)
    assert result.frames.tolist() == list(range(10, 25))
    assert result.boxes[0, :, 0].tolist() == pytest.approx([4 + t for t in range(15)])  # twice the clip's
    assert result.presence[0].tolist() == pytest.approx([0.05 * t for t in range(15)], abs=1e-6)


def test_a_clip_in_which_nothing_is_detected_has_a_result_without_rows():
    nothing = Tubelets(torch.zeros(0, FRAMES, 4), torch.zeros(0, 3), torch.zeros(0, FRAMES))
    result = clip_result(nothing, CLIPS[0])
    assert result.boxes.shape == (0, FRAMES, 4)
    assert result.class_scores.shape == (0, 3)
    assert result.presence.shape == (0, FRAMES)


def test_a_penalty_is_refused_with_batch_statistics():
    with pytest.raises(ConfigError, match=r"norm='group' or norm='frozen_batch'"):
        DetectionModel(small_detector("batch"), ClipPreprocessor(), penalty=GradientPenalty(0.1))
    DetectionModel(small_detector("batch"), ClipPreprocessor())
    DetectionModel(small_detector("frozen_batch"), ClipPreprocessor(), penalty=GradientPenalty(0.1))


def test_unknown_proposals_are_refused():
    with pytest.raises(ConfigError, match="annotation"):
        DetectionModel(small_detector(), ClipPreprocessor(), proposals="annotation")


@pytest.mark.parametrize("mixer", [None, BatchMix(probability=1.0)])
def test_the_penalty_is_one_of_the_losses_and_reaches_the_backbone(mixer):
    model = small_model(penalty=0.5, mixer=mixer)
    losses = train_losses(model, CLIPS)
    assert all(torch.isfinite(loss) for loss in losses.values())
    torch.testing.assert_close(losses["loss_pgg"].detach(), 0.5 * losses["pgg_energy_outside"])
    assert losses["pgg_energy_inside"] > 0 and not losses["pgg_energy_inside"].requires_grad
    losses["loss_pgg"].backward()
    reached = [p.grad is not None and bool(p.grad.any()) for p in model.detector.backbone.parameters() if p.ndim == 5]
    assert all(reached)


def test_only_losses_are_summed_for_the_optimizer():
    model = small_model(penalty=0.5)
    losses = train_losses(model, CLIPS)
    total, logged = model.parse_losses(losses)
    torch.testing.assert_close(total, sum(loss for name, loss in losses.items() if name.startswith("loss_")))
    assert {"pgg_energy_outside", "pgg_energy_inside"} <= set(logged)


def test_without_a_penalty_there_is_none_and_clips_need_no_gradient():
    losses = train_losses(small_model(), CLIPS)
    assert not [name for name in losses if "pgg" in name]


def test_a_batch_without_actors_can_be_trained_on_with_a_penalty():
    model = small_model(penalty=0.5)
    losses = train_losses(model, [clip([]), clip([], seed=1)])
    assert losses["loss_pgg"] == 0
    model.parse_losses(losses)[0].backward()


def test_a_training_step_changes_the_weights():
    model = small_model(penalty=0.5).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    weight = next(p for p in model.detector.backbone.parameters() if p.ndim == 5)
    before = weight.detach().clone()
    total, _ = model.parse_losses(model._run_forward(model.data_preprocessor(CLIPS, True), mode="loss"))
    total.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimizer.step()
    assert not torch.equal(weight, before)


def test_ground_truth_proposals_take_the_place_of_the_networks():
    model = small_model(proposals="ground_truth")
    assert "loss_objectness" not in train_losses(model, CLIPS)
    absent = clip([[4.0, 8.0, 20.0, 24.0]], on_keyframe=False, seed=2)
    results = model.eval().test_step([*CLIPS, absent])
    assert [result.video_key for result in results] == ["video 0", "video 1", "video 2"]
    assert [len(result.boxes) for result in results][1:] == [1, 0]
    assert 1 <= len(results[0].boxes) <= 2


def test_a_test_step_gives_results_in_pixels_of_the_video():
    for result in small_model().eval().test_step(CLIPS):
        assert result.boxes.shape[1:] == (FRAMES, 4)
        assert result.class_scores.shape == (len(result.boxes), 3)
        assert len(result.boxes) and result.boxes.max() > WIDTH


def test_features_are_those_of_the_backbone():
    slow, fast, _ = small_model().eval()(small_model().data_preprocessor.prepare(CLIPS, False))
    assert (slow.shape[2], fast.shape[2]) == (FRAMES // 4, FRAMES)


def test_the_penalty_is_the_same_under_mixed_precision():
    gradients = []
    for amp in (False, True):
        torch.manual_seed(0)
        model = small_model(penalty=0.5)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=amp):
            losses = train_losses(model, CLIPS)
        losses["loss_pgg"].backward()
        weight = next(p for p in model.detector.backbone.parameters() if p.ndim == 5)
        gradients.append(weight.grad)
    torch.testing.assert_close(gradients[0], gradients[1])
    assert gradients[0].abs().sum() > 0


def test_an_actor_that_is_not_on_the_keyframe_is_no_target():
    absent = clip([[10.0, 2.0, 26.0, 30.0]], on_keyframe=False, seed=1)
    model = small_model(penalty=0.5).train()
    batch = model.data_preprocessor.prepare([CLIPS[0], absent], True).batch
    output = model.detector.loss(batch)
    assert output.actors.tolist() == [0, 1]
    assert output.clip_index.tolist() == [0, 0]
    assert train_losses(model, [absent])["loss_pgg"] == 0
