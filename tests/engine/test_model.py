import dataclasses

import pytest
import torch
from mmengine.logging import MessageHub
from torch import nn

from stal.engine.checkpoint import load_weights
from stal.engine.model import DetectionModel, clip_result
from stal.engine.preprocessor import ClipPreprocessor
from stal.errors import ConfigError
from stal.losses.albar import ALBAR
from stal.losses.gradient_penalty import GradientPenalty
from stal.losses.group_dro import GroupDRO
from stal.losses.penalty import Penalty, Schedule
from stal.losses.pgd_ex import PGDEx
from stal.losses.scored_actors import ScoredActors
from stal.losses.sdn import SDN
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


def small_model(
    penalty: float | Penalty | None = None, mixer: BatchMix | None = None, *, seed: int = 0, **changes
) -> DetectionModel:
    """Return a model with a penalty, or with the gradient penalty of this weight."""
    if isinstance(penalty, float):
        penalty = GradientPenalty(penalty)
    return DetectionModel(small_detector(), ClipPreprocessor(mixer, seed=seed), penalty=penalty, **changes)


class Listener:
    """A penalty that adds nothing, and notes what it was told."""

    def __init__(self, needs_input_gradient: bool, **schedule) -> None:
        self.schedule = Schedule(1.0, **schedule)
        self.needs_input_gradient = needs_input_gradient
        self.told: list[dict] = []

    def __call__(self, actors: ScoredActors, *, step: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        self.told.append(
            {
                "actors": actors,
                "step": step,
                "amp": torch.is_autocast_enabled("cpu"),
                "drawn": torch.rand(4, generator=generator).tolist(),
            }
        )
        return {"loss_listener": 0 * actors.logits.sum()}


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
        scene=seed % 2,
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


NUM_FEATURES = small_detector().classifier.logits.in_features

PENALTIES = {
    "share_of_clips": lambda: GradientPenalty(1.0, subset=0.5),
    "one_actor": lambda: GradientPenalty(1.0, subset="one_actor"),
    "pgd": lambda: PGDEx(1.0, num_steps=1),
    "noise": lambda: PGDEx(1.0, kind="noise"),
    "albar": lambda: ALBAR(1.0),
    "sdn": lambda: SDN(1.0, num_scenes=2, in_channels=NUM_FEATURES),
    "group_dro": lambda: GroupDRO(1.0, num_classes=3, num_scenes=2),
}


@pytest.mark.parametrize("name", PENALTIES)
def test_every_penalty_is_one_of_the_losses_and_reaches_the_backbone(name):
    model = small_model(PENALTIES[name]())
    losses = train_losses(model, CLIPS)
    assert all(torch.isfinite(loss) for loss in losses.values())
    added = [loss for key, loss in losses.items() if key not in train_losses(small_model(), CLIPS)]
    sum(loss for loss in added if loss.requires_grad).backward()
    assert all(p.grad.any() for p in model.detector.backbone.parameters() if p.ndim == 5)


@pytest.mark.parametrize("name", PENALTIES)
def test_every_penalty_is_zero_for_a_batch_without_actors(name):
    model = small_model(PENALTIES[name]())
    losses = train_losses(model, [clip([]), clip([], seed=1)])
    plain = train_losses(small_model(), [clip([]), clip([], seed=1)])
    added = [loss.item() for key, loss in losses.items() if key not in plain]
    assert added and not any(added)
    model.parse_losses(losses)[0].backward()
    assert all(p.grad is not None for p in model.parameters())  # or distributed training would wait


@pytest.mark.parametrize("name", ["sdn", "group_dro"])
def test_a_batch_in_which_no_scene_is_known_is_trained_on(name):
    """As random batches of a partly annotated data set are now and then."""
    clips = [dataclasses.replace(clip, scene=-1) for clip in CLIPS]
    model = small_model(PENALTIES[name]())
    losses = train_losses(model, clips)
    of_scenes = {"sdn": "loss_sdn_scene", "group_dro": "loss_group_dro"}[name]
    assert losses[of_scenes] == 0
    model.parse_losses(losses)[0].backward()
    assert all(p.grad is not None for p in model.parameters())


def test_weights_of_a_penalty_are_trained():
    model = small_model(PENALTIES["sdn"]()).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = [weight.detach().clone() for weight in model.penalty.parameters()]
    model.parse_losses(train_losses(model, CLIPS))[0].backward()
    optimizer.step()
    assert not any(weight.equal(old) for weight, old in zip(model.penalty.parameters(), before, strict=True))


@pytest.mark.parametrize("name", ["sdn", "group_dro"])
def test_the_state_of_a_penalty_is_saved_with_the_model(name, tmp_path):
    model, other = small_model(PENALTIES[name]()), small_model(PENALTIES[name]())
    train_losses(model, CLIPS)
    torch.save({"state_dict": model.state_dict()}, tmp_path / "model.pth")
    state = model.penalty.state_dict()
    assert state and not all(v.equal(other.penalty.state_dict()[k]) for k, v in state.items())
    load_weights(other, tmp_path / "model.pth")
    assert all(value.equal(other.penalty.state_dict()[key]) for key, value in state.items())


def test_weights_of_a_penalty_that_is_not_due_get_a_gradient_of_zero():
    model = small_model(SDN(1.0, num_scenes=2, in_channels=NUM_FEATURES, start_step=5))
    losses = train_losses(model, CLIPS)
    assert not [name for name in losses if "sdn" in name]
    model.parse_losses(losses)[0].backward()
    assert all(weight.grad is not None and not weight.grad.any() for weight in model.penalty.parameters())


def test_a_penalty_is_told_the_masks_of_the_models_source():
    asked = []

    def everywhere(batch, actors, generator):
        asked.append(actors.tolist())
        return torch.ones(len(actors), *batch.provenance.shape[1:], dtype=torch.bool)

    losses = train_losses(small_model(0.5, penalty_masks=everywhere), CLIPS)
    assert asked == [[0, 1, 2]]
    assert losses["pgg_energy_outside"] == 0 and losses["pgg_energy_inside"] > 0


@pytest.mark.parametrize("needs_input_gradient", [False, True])
def test_only_a_penalty_that_needs_input_gradients_gets_them_and_leaves_mixed_precision(needs_input_gradient):
    listener = Listener(needs_input_gradient)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        train_losses(small_model(listener), CLIPS)
    (told,) = listener.told
    assert told["amp"] is not needs_input_gradient
    assert told["actors"].clips.requires_grad is needs_input_gradient
    assert told["actors"].features.dtype == (torch.float32 if needs_input_gradient else torch.bfloat16)


def test_a_penaltys_chance_is_of_seed_rank_and_step_alone(message_hub, monkeypatch):
    def drawn(seed=0, rank=0, step=3, disturb=False):
        monkeypatch.setattr("stal.engine.preprocessor.get_rank", lambda: rank)
        message_hub.update_info("iter", step)
        listener = Listener(False)
        model = small_model(listener, seed=seed)
        if disturb:
            torch.rand(5)
            model.data_preprocessor.prepare(CLIPS, True)
        train_losses(model, CLIPS)
        assert listener.told[0]["step"] == step
        return tuple(listener.told[0]["drawn"])

    assert drawn() == drawn(disturb=True)
    assert len({drawn(), drawn(seed=1), drawn(rank=1), drawn(step=4)}) == 4
    mixing = small_model().data_preprocessor.generator_of(3, "mixing")
    assert tuple(torch.rand(4, generator=mixing).tolist()) != drawn()


def test_a_penalty_can_ask_for_the_scores_of_the_same_actors_again():
    listener = Listener(False)
    model = small_model(listener)
    moving = dataclasses.replace(CLIPS[1], boxes=CLIPS[1].boxes + torch.arange(FRAMES)[None, :, None])
    train_losses(model, [CLIPS[0], moving])
    actors = listener.told[0]["actors"]
    torch.testing.assert_close(actors.rescored(actors.clips), actors.logits)
    frames = torch.tensor([0, 7])
    tubelets = torch.cat([CLIPS[0].boxes, moving.boxes[:, 7:].expand(-1, FRAMES, -1)])
    held = model.detector.class_logits(actors.clips, tubelets, actors.clip_index)
    torch.testing.assert_close(actors.rescored(actors.clips, frames), held)
    assert not torch.allclose(held, actors.logits)


@pytest.mark.parametrize("rows", [[0, 1, 2], [2], [1], [0, 2]])
def test_some_actors_can_be_scored_alone_with_the_same_dropout(rows):
    listener = Listener(False)
    model = small_model(listener)
    model.detector.classifier.dropout = 0.5
    moving = [dataclasses.replace(c, boxes=c.boxes + torch.arange(FRAMES)[None, :, None]) for c in CLIPS]
    train_losses(model, moving)
    actors = listener.told[0]["actors"]
    torch.testing.assert_close(actors.rescored(actors.clips), actors.logits)
    alone = actors.alone(torch.tensor(rows))
    assert len(alone.clips) == len({[0, 0, 1][row] for row in rows})
    torch.testing.assert_close(alone.logits, actors.logits[rows], atol=1e-4, rtol=1e-4)
    frames = torch.tensor([0, 7])
    held = actors.rescored(actors.clips, frames)[rows]
    assert not torch.allclose(held, alone.logits)
    kept = actors.clip_index[rows].unique()
    torch.testing.assert_close(alone.rescored(alone.clips, frames[kept]), held, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "form",
    [{"subset": 0.5}, {"subset": "one_actor"}, {"estimator": "finite_difference", "difference_step": 1e-4}],
    ids=str,
)
def test_every_estimate_of_the_gradient_penalty_reaches_the_backbone(form):
    model = small_model(GradientPenalty(0.5, **form))
    model.detector.classifier.dropout = 0.5
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = train_losses(model, CLIPS)
    assert losses["loss_pgg"] > 0 and losses["loss_pgg"].dtype == torch.float32
    assert losses.get("pgg_slope_error", 0) < 0.1  # other dropout would be far off
    losses["loss_pgg"].backward()
    assert all(p.grad.any() for p in model.detector.backbone.parameters() if p.ndim == 5)


def test_actors_are_told_with_their_labels_scenes_and_share():
    listener = Listener(False)
    train_losses(small_model(listener), CLIPS)
    actors = listener.told[0]["actors"]
    assert (actors.labels.tolist(), actors.scenes.tolist()) == ([0, 1, 0], [0, 0, 1])
    assert actors.share == pytest.approx(3 / (3 + 2 * 4))
    assert len(actors.masks) == len(actors.features) == 3
