"""The model as a runner takes it: losses, results of clips, features."""

import dataclasses

import pytest
import torch
from torch import nn

from stal.engine.model import DetectionModel, clip_result
from stal.engine.preprocessor import ClipPreprocessor
from stal.errors import ConfigError
from stal.models.detector import Tubelets

pytestmark = pytest.mark.usefixtures("message_hub")
FRAMES, WIDTH = 8, 48  # of the clips


def test_boxes_are_brought_to_the_video_and_repeated_frames_dropped(clips):
    window = dataclasses.replace(
        clips[0],
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


def test_frames_between_those_of_a_clip_with_a_stride_are_interpolated(clips):
    window = dataclasses.replace(clips[0], frame_indices=torch.arange(10, 10 + 2 * FRAMES, 2))
    boxes = torch.tensor([2.0, 4.0, 12.0, 20.0]).repeat(1, FRAMES, 1)
    boxes[:, :, 0] += torch.arange(FRAMES)
    result = clip_result(Tubelets(boxes, torch.ones(1, 3), torch.linspace(0, 0.7, FRAMES)[None]), window)
    assert result.frames.tolist() == list(range(10, 25))
    assert result.boxes[0, :, 0].tolist() == pytest.approx([4 + t for t in range(15)])  # twice the clip's
    assert result.presence[0].tolist() == pytest.approx([0.05 * t for t in range(15)], abs=1e-6)


def test_a_clip_in_which_nothing_is_detected_has_a_result_without_rows(clips):
    nothing = Tubelets(torch.zeros(0, FRAMES, 4), torch.zeros(0, 3), torch.zeros(0, FRAMES))
    result = clip_result(nothing, clips[0])
    assert result.boxes.shape == (0, FRAMES, 4)
    assert result.class_scores.shape == (0, 3)
    assert result.presence.shape == (0, FRAMES)


def test_unknown_proposals_are_refused(small_detector):
    with pytest.raises(ConfigError, match="annotation"):
        DetectionModel(small_detector(), ClipPreprocessor(), proposals="annotation")


def test_only_losses_are_summed_for_the_optimizer(small_model, clips, train_losses):
    model = small_model(penalty=0.5)
    losses = train_losses(model, clips)
    total, logged = model.parse_losses(losses)
    torch.testing.assert_close(total, sum(loss for name, loss in losses.items() if name.startswith("loss_")))
    assert {"pgg_energy_outside", "pgg_energy_inside"} <= set(logged)


def test_without_a_penalty_there_is_none_and_clips_need_no_gradient(small_model, clips, train_losses):
    losses = train_losses(small_model(), clips)
    assert not [name for name in losses if "pgg" in name]


def test_a_training_step_changes_the_weights(small_model, clips):
    model = small_model(penalty=0.5).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    weight = next(p for p in model.detector.backbone.parameters() if p.ndim == 5)
    before = weight.detach().clone()
    total, _ = model.parse_losses(model._run_forward(model.data_preprocessor(clips, True), mode="loss"))
    total.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimizer.step()
    assert not torch.equal(weight, before)


def test_ground_truth_proposals_take_the_place_of_the_networks(small_model, clips, make_clip, train_losses):
    model = small_model(proposals="ground_truth")
    assert "loss_objectness" not in train_losses(model, clips)
    absent = make_clip([[4.0, 8.0, 20.0, 24.0]], on_keyframe=False, seed=2)
    results = model.eval().test_step([*clips, absent])
    assert [result.video_key for result in results] == ["video 0", "video 1", "video 2"]
    assert [len(result.boxes) for result in results][1:] == [1, 0]
    assert 1 <= len(results[0].boxes) <= 2


def test_a_test_step_gives_results_in_pixels_of_the_video(small_model, clips):
    for result in small_model().eval().test_step(clips):
        assert result.boxes.shape[1:] == (FRAMES, 4)
        assert result.class_scores.shape == (len(result.boxes), 3)
        assert len(result.boxes) and result.boxes.max() > WIDTH


def test_features_are_those_of_the_backbone(small_model, clips):
    slow, fast, _ = small_model().eval()(small_model().data_preprocessor.prepare(clips, False))
    assert (slow.shape[2], fast.shape[2]) == (FRAMES // 4, FRAMES)
