"""The model with a penalty: what the penalty is told, what it adds to the losses, what becomes of its weights."""

import dataclasses

import pytest
import torch

from stal.engine.faults.checkpoint import load_weights
from stal.engine.model import DetectionModel
from stal.engine.preprocessor import ClipPreprocessor
from stal.errors import ConfigError
from stal.losses.albar import ALBAR
from stal.losses.gradient_penalty import GradientPenalty
from stal.losses.group_dro import GroupDRO
from stal.losses.penalty import Schedule
from stal.losses.pgd_ex import PGDEx
from stal.losses.scored_actors import ScoredActors
from stal.losses.sdn import SDN
from stal.mixing.batch_mix import BatchMix

pytestmark = pytest.mark.usefixtures("message_hub")
FRAMES = 8  # of the clips
NUM_FEATURES = 320  # of an actor, in the small detector


class Listener:
    """A penalty that adds nothing, and notes what it was told."""

    def __init__(self, needs_input_gradient: bool, **schedule) -> None:
        self.schedule = Schedule(1.0, **schedule)
        self.needs_input_gradient = needs_input_gradient
        self.num_scenes = None
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


def test_a_penalty_is_refused_with_batch_statistics(small_detector):
    with pytest.raises(ConfigError, match=r"norm='group' or norm='frozen_batch'"):
        DetectionModel(small_detector("batch"), ClipPreprocessor(), penalty=GradientPenalty(0.1))
    DetectionModel(small_detector("batch"), ClipPreprocessor())
    DetectionModel(small_detector("frozen_batch"), ClipPreprocessor(), penalty=GradientPenalty(0.1))


@pytest.mark.parametrize("mixer", [None, BatchMix(probability=1.0)])
def test_the_penalty_is_one_of_the_losses_and_reaches_the_backbone(mixer, small_model, clips, train_losses):
    model = small_model(penalty=0.5, mixer=mixer)
    losses = train_losses(model, clips)
    assert all(torch.isfinite(loss) for loss in losses.values())
    torch.testing.assert_close(losses["loss_pgg"].detach(), 0.5 * losses["pgg_energy_outside"])
    assert losses["pgg_energy_inside"] > 0 and not losses["pgg_energy_inside"].requires_grad
    losses["loss_pgg"].backward()
    reached = [p.grad is not None and bool(p.grad.any()) for p in model.detector.backbone.parameters() if p.ndim == 5]
    assert all(reached)


def test_a_batch_without_actors_can_be_trained_on_with_a_penalty(small_model, make_clip, train_losses):
    model = small_model(penalty=0.5)
    losses = train_losses(model, [make_clip([]), make_clip([], seed=1)])
    assert losses["loss_pgg"] == 0
    model.parse_losses(losses)[0].backward()


def test_the_penalty_is_the_same_under_mixed_precision(small_model, clips, train_losses):
    gradients = []
    for amp in (False, True):
        torch.manual_seed(0)
        model = small_model(penalty=0.5)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=amp):
            losses = train_losses(model, clips)
        losses["loss_pgg"].backward()
        weight = next(p for p in model.detector.backbone.parameters() if p.ndim == 5)
        gradients.append(weight.grad)
    torch.testing.assert_close(gradients[0], gradients[1])
    assert gradients[0].abs().sum() > 0


def test_an_actor_that_is_not_on_the_keyframe_is_no_target(small_model, clips, make_clip, train_losses):
    absent = make_clip([[10.0, 2.0, 26.0, 30.0]], on_keyframe=False, seed=1)
    model = small_model(penalty=0.5).train()
    batch = model.data_preprocessor.prepare([clips[0], absent], True).batch
    output = model.detector.loss(batch)
    assert output.rows.actors.tolist() == [[True, False, False], [False, True, False]]
    assert output.rows.clip_index.tolist() == [0, 0]
    assert train_losses(model, [absent])["loss_pgg"] == 0


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
def test_every_penalty_is_one_of_the_losses_and_reaches_the_backbone(name, small_model, clips, train_losses):
    model = small_model(PENALTIES[name]())
    losses = train_losses(model, clips)
    assert all(torch.isfinite(loss) for loss in losses.values())
    added = [loss for key, loss in losses.items() if key not in train_losses(small_model(), clips)]
    sum(loss for loss in added if loss.requires_grad).backward()
    assert all(p.grad.any() for p in model.detector.backbone.parameters() if p.ndim == 5)


@pytest.mark.parametrize("name", PENALTIES)
def test_every_penalty_is_zero_for_a_batch_without_actors(name, small_model, make_clip, train_losses):
    model = small_model(PENALTIES[name]())
    losses = train_losses(model, [make_clip([]), make_clip([], seed=1)])
    plain = train_losses(small_model(), [make_clip([]), make_clip([], seed=1)])
    added = [loss.item() for key, loss in losses.items() if key not in plain]
    assert added and not any(added)
    model.parse_losses(losses)[0].backward()
    assert all(p.grad is not None for p in model.parameters())  # or distributed training would wait


@pytest.mark.parametrize("name", ["sdn", "group_dro"])
def test_a_batch_in_which_no_scene_is_known_is_trained_on(name, small_model, clips, train_losses):
    """As random batches of a partly annotated data set are now and then."""
    model = small_model(PENALTIES[name]())
    losses = train_losses(model, [dataclasses.replace(clip, scene=-1) for clip in clips])
    of_scenes = {"sdn": "loss_sdn_scene", "group_dro": "loss_group_dro"}[name]
    assert losses[of_scenes] == 0
    model.parse_losses(losses)[0].backward()
    assert all(p.grad is not None for p in model.parameters())


def test_weights_of_a_penalty_are_trained(small_model, clips, train_losses):
    model = small_model(PENALTIES["sdn"]()).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = [weight.detach().clone() for weight in model.penalty.parameters()]
    model.parse_losses(train_losses(model, clips))[0].backward()
    optimizer.step()
    assert not any(weight.equal(old) for weight, old in zip(model.penalty.parameters(), before, strict=True))


@pytest.mark.parametrize("name", ["sdn", "group_dro"])
def test_the_state_of_a_penalty_is_saved_with_the_model(name, tmp_path, small_model, clips, train_losses):
    model, other = small_model(PENALTIES[name]()), small_model(PENALTIES[name]())
    train_losses(model, clips)
    torch.save({"state_dict": model.state_dict()}, tmp_path / "model.pth")
    state = model.penalty.state_dict()
    assert state and not all(v.equal(other.penalty.state_dict()[k]) for k, v in state.items())
    load_weights(other, tmp_path / "model.pth")
    assert all(value.equal(other.penalty.state_dict()[key]) for key, value in state.items())


def test_weights_of_a_penalty_that_is_not_due_get_a_gradient_of_zero(small_model, clips, train_losses):
    model = small_model(SDN(1.0, num_scenes=2, in_channels=NUM_FEATURES, start_step=5))
    losses = train_losses(model, clips)
    assert not [name for name in losses if "sdn" in name]
    model.parse_losses(losses)[0].backward()
    assert all(weight.grad is not None and not weight.grad.any() for weight in model.penalty.parameters())


@pytest.mark.parametrize(
    "form",
    [{"subset": 0.5}, {"subset": "one_actor"}, {"estimator": "finite_difference", "difference_step": 1e-4}],
    ids=str,
)
def test_every_estimate_of_the_gradient_penalty_reaches_the_backbone(form, small_model, clips, train_losses):
    model = small_model(GradientPenalty(0.5, **form))
    model.detector.classifier.dropout = 0.5
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = train_losses(model, clips)
    assert losses["loss_pgg"] > 0 and losses["loss_pgg"].dtype == torch.float32
    assert losses.get("pgg_slope_error", 0) < 0.1  # other dropout would be far off
    losses["loss_pgg"].backward()
    assert all(p.grad.any() for p in model.detector.backbone.parameters() if p.ndim == 5)


def test_a_penalty_is_told_the_masks_of_the_models_source(small_model, clips, train_losses):
    asked = []

    def everywhere(batch, rows, generator):
        asked.append(rows.actors.nonzero()[:, 1].tolist())
        return torch.ones(len(rows), *batch.provenance.shape[1:], dtype=torch.bool)

    losses = train_losses(small_model(0.5, penalty_masks=everywhere), clips)
    assert asked == [[0, 1, 2]]
    assert losses["pgg_energy_outside"] == 0 and losses["pgg_energy_inside"] > 0


@pytest.mark.parametrize("needs_input_gradient", [False, True])
def test_only_a_penalty_that_needs_input_gradients_gets_them_and_leaves_mixed_precision(
    needs_input_gradient, small_model, clips, train_losses
):
    listener = Listener(needs_input_gradient)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        train_losses(small_model(listener), clips)
    (told,) = listener.told
    assert told["amp"] is not needs_input_gradient
    assert told["actors"].clips.requires_grad is needs_input_gradient
    assert told["actors"].features.dtype == (torch.float32 if needs_input_gradient else torch.bfloat16)


def test_a_penaltys_chance_is_of_seed_rank_and_step_alone(message_hub, monkeypatch, small_model, clips, train_losses):
    def drawn(seed=0, rank=0, step=3, disturb=False):
        monkeypatch.setattr("stal.engine.step_seed.get_rank", lambda: rank)
        message_hub.update_info("iter", step)
        listener = Listener(False)
        model = small_model(listener, seed=seed)
        if disturb:
            torch.rand(5)
            model.data_preprocessor.prepare(clips, True)
        train_losses(model, clips)
        assert listener.told[0]["step"] == step
        return tuple(listener.told[0]["drawn"])

    assert drawn() == drawn(disturb=True)
    assert len({drawn(), drawn(seed=1), drawn(rank=1), drawn(step=4)}) == 4
    mixing = small_model().data_preprocessor.generator_of(3, "mixing")
    assert tuple(torch.rand(4, generator=mixing).tolist()) != drawn()


def test_a_penalty_can_ask_for_the_scores_of_the_same_actors_again(small_model, clips, train_losses):
    listener = Listener(False)
    model = small_model(listener)
    moving = dataclasses.replace(clips[1], boxes=clips[1].boxes + torch.arange(FRAMES)[None, :, None])
    train_losses(model, [clips[0], moving])
    actors = listener.told[0]["actors"]
    torch.testing.assert_close(actors.rescored(actors.clips), actors.logits)
    frames = torch.tensor([0, 7])
    tubelets = torch.cat([clips[0].boxes, moving.boxes[:, 7:].expand(-1, FRAMES, -1)])
    held = model.detector.class_logits(actors.clips, tubelets, actors.clip_index)
    torch.testing.assert_close(actors.rescored(actors.clips, frames), held)
    assert not torch.allclose(held, actors.logits)


@pytest.mark.parametrize("rows", [[0, 1, 2], [2], [1], [0, 2]])
def test_some_actors_can_be_scored_alone_with_the_same_dropout(rows, small_model, clips, train_losses):
    listener = Listener(False)
    model = small_model(listener)
    model.detector.classifier.dropout = 0.5
    moving = [dataclasses.replace(c, boxes=c.boxes + torch.arange(FRAMES)[None, :, None]) for c in clips]
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


def test_actors_are_told_with_their_labels_scenes_and_share(small_model, clips, train_losses):
    listener = Listener(False)
    train_losses(small_model(listener), clips)
    actors = listener.told[0]["actors"]
    assert (actors.labels.tolist(), actors.scenes.tolist()) == ([0, 1, 0], [0, 0, 1])
    assert actors.share == pytest.approx(3 / (3 + 2 * 4))
    assert len(actors.masks) == len(actors.features) == 3
