"""What holds for every mixer, whatever it draws. A new mixer is one line or a few in MIXERS."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stal.mixing.actor_cut_mix import ActorCutMix
from stal.mixing.batch_mix import BatchMix
from stal.mixing.chain import Chain, Mixer
from stal.mixing.cuboid_mix import CuboidMix
from stal.mixing.fame import FAME
from stal.mixing.layers import add_provenance, layers_of
from stal.mixing.scene_swap import SceneSwap
from stal.mixing.still_mix import StillMix
from stal.ops.masks import box_masks
from stal.structures import ClipBatch

# The checker of annotations picks the item of a tuple that it looks at by `random`, also while a batch is drawn.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")

FRAMES, HEIGHT, WIDTH = 3, 6, 8
MASKS = st.sampled_from(["box", "silhouette"])
SEEDS = st.integers(0, 1_000_000)
EXAMPLES = settings(max_examples=10, deadline=None)
RELATIONS = st.sampled_from(["independent", "identical", "inside", "touching"])


@dataclass(frozen=True)
class Case:
    """A mixer, and which laws are its own.

    Attributes:
        make: of the keywords probability and mask.
        copies: a voxel has the value that it had, at the same place, in the clip that it comes from.
        stays: an actor is where it was.
        trusts: an actor's label weighs what it did.
        flips: to flip and to mix is to mix and to flip.
        upscales: the same of an enlargement in whole pixels.
        atol: by how much values may differ between devices, which round averages otherwise; None if what is seen
            follows from such averages, so that the annotation may differ too.
    """

    make: Callable[..., Mixer]
    copies: bool = True
    stays: bool = True
    trusts: bool = True
    flips: bool = True
    upscales: bool = False
    atol: float | None = 0.0


def chain(**options) -> Chain:
    return Chain([BatchMix(**options), CuboidMix(kind="temporal", **options), BatchMix(max_pasted=2, **options)])


def chain_of_pastes(**options) -> Chain:
    return Chain([SceneSwap(plate="inpaint", **options), BatchMix(**options), BatchMix(max_pasted=2, **options)])


MIXERS = {
    "BatchMix": Case(BatchMix, upscales=True),
    "BatchMix of many": Case(partial(BatchMix, max_pasted=3, min_visible=0.0), upscales=True),
    "BatchMix by depth": Case(partial(BatchMix, max_pasted=2, occlusion="depth"), upscales=True),
    "BatchMix feathered": Case(partial(BatchMix, feather=2), copies=False, atol=1.0),
    "BatchMix later": Case(partial(BatchMix, max_offset=2), copies=False, stays=False),
    "BatchMix moved": Case(
        partial(BatchMix, max_pasted=2, scale=(0.4, 2.5), shift=0.3, max_offset=1),
        copies=False,
        stays=False,
        flips=False,
        atol=1.0,
    ),
    "CuboidMix": Case(CuboidMix, trusts=False, flips=False),
    "CuboidMix in time": Case(partial(CuboidMix, kind="temporal", min_visible=0.0), trusts=False),
    "CuboidMix in space and time": Case(
        partial(CuboidMix, kind="spatio_temporal", min_visible=0.6), trusts=False, flips=False
    ),
    "SceneSwap": Case(SceneSwap, copies=False, flips=False, atol=1.0),  # holes are filled by halving, from the left
    "SceneSwap inpainted": Case(
        partial(SceneSwap, plate="inpaint", margin=1, prefer_empty=True), copies=False, flips=False, atol=1.0
    ),
    "ActorCutMix": Case(ActorCutMix, copies=False, trusts=False, atol=1.0),
    "StillMix": Case(StillMix, copies=False, atol=1.0),
    "FAME": Case(FAME, flips=False, atol=None),  # its convolutions round otherwise
    "Chain": Case(chain, trusts=False),
    "Chain of pastes": Case(chain_of_pastes, copies=False, flips=False, atol=1.0),
}


def cases(law: str | None = None) -> pytest.MarkDecorator:
    """Parametrize a test by the mixers of a law, or by all."""
    named = {name: case for name, case in MIXERS.items() if law is None or getattr(case, law)}
    return pytest.mark.parametrize("case", named.values(), ids=named.keys())


def related(boxes: np.ndarray, others: np.ndarray, relation: str) -> np.ndarray:
    """Return boxes (T, 4) of an actor, in eighths of a pixel, that are so related to those of another actor."""
    if relation == "identical":
        return others
    if relation == "inside":
        return others + np.array([3, 3, -3, -3])
    if relation == "touching":
        free = others[:, 2] + 8 <= 8 * WIDTH
        beside = np.stack([others[:, 2], others[:, 1], others[:, 2] + 8, others[:, 3]], axis=-1)
        return np.where(free[:, None], beside, boxes)
    return boxes


def weights_of(labels: torch.Tensor) -> torch.Tensor:
    """Return what labels weigh before they are mixed: of each its own weight, exact in float32."""
    return (labels + 1) / 64


@st.composite
def batches(draw, whole_pixels: bool = False) -> ClipBatch:
    """Draw clips in which every value, and every label, occurs once in the batch, so that it tells its origin.

    There may be one clip, and clips without actors. Actor n of clip b has the label 10 * b + n, which weighs
    (10 * b + n + 1) / 64.
    """
    num_actors = draw(st.lists(st.integers(0, 3), min_size=1, max_size=4))
    rng = np.random.default_rng(draw(SEEDS))
    boxes, valid, labels, masks = [], [], [], []
    for n in num_actors:
        corner = rng.integers(0, [8 * WIDTH - 16, 8 * HEIGHT - 16], (n, FRAMES, 2))
        size = rng.integers(8, 33, (n, FRAMES, 2))
        eighths = np.concatenate([corner, np.minimum(corner + size, [8 * WIDTH, 8 * HEIGHT])], axis=-1)
        for row in range(1, n):
            eighths[row] = related(eighths[row], eighths[row - 1], draw(RELATIONS))
        corners = eighths / 8
        if whole_pixels:
            corners = np.concatenate([np.floor(corners[..., :2]), np.ceil(corners[..., 2:])], axis=-1)
        seen = rng.random((n, FRAMES)) < 0.8
        seen[:, 0] |= ~seen.any(axis=1)
        box = torch.from_numpy(np.float32(corners * seen[..., None]))
        boxes.append(box)
        valid.append(torch.from_numpy(seen))
        labels.append(torch.arange(n) + 10 * len(labels))
        inside = box_masks(box, HEIGHT, WIDTH)
        masks.append(inside & (torch.from_numpy(rng.random(inside.shape)) < 0.7))
    shape = (len(boxes), 2, FRAMES, HEIGHT, WIDTH)
    return ClipBatch(
        torch.arange(np.prod(shape), dtype=torch.int32).reshape(shape),
        tuple(boxes),
        tuple(valid),
        tuple(labels),
        tuple(masks),
        label_weights=tuple(weights_of(rows) for rows in labels),
        scenes=torch.arange(len(boxes)) + 100,
    )


def mix(case: Case, batch: ClipBatch, seed: int, mask: str = "box", probability: float = 1.0) -> ClipBatch:
    return case.make(probability=probability, mask=mask)(batch, torch.Generator().manual_seed(seed))


def map_volumes(batch: ClipBatch, change: Callable[[torch.Tensor], torch.Tensor], boxes: list) -> ClipBatch:
    return dataclasses.replace(
        batch,
        clips=change(batch.clips),
        boxes=tuple(boxes),
        actor_masks=tuple(change(masks) for masks in batch.actor_masks),
        provenance=None if batch.provenance is None else change(batch.provenance),
        voxel_sources=None if batch.voxel_sources is None else change(batch.voxel_sources),
    )


def flip(batch: ClipBatch) -> ClipBatch:
    mirrored = [torch.stack([WIDTH - b[..., 2], b[..., 1], WIDTH - b[..., 0], b[..., 3]], dim=-1) for b in batch.boxes]
    boxes = [b * v[..., None] for b, v in zip(mirrored, batch.valid, strict=True)]
    return map_volumes(batch, lambda volume: volume.flip(-1), boxes)


def upscale(batch: ClipBatch, factor: int) -> ClipBatch:
    def grow(volume: torch.Tensor) -> torch.Tensor:
        return volume.repeat_interleave(factor, dim=-1).repeat_interleave(factor, dim=-2)

    return map_volumes(batch, grow, [b * factor for b in batch.boxes])


def assert_batches_equal(a: ClipBatch, b: ClipBatch) -> None:
    for field in dataclasses.fields(ClipBatch):
        left, right = getattr(a, field.name), getattr(b, field.name)
        if isinstance(left, torch.Tensor):
            left, right = (left,), (right,)
        assert (left is None) == (right is None), field.name
        for x, y in zip(left or (), right or (), strict=True):
            assert x.dtype == y.dtype and torch.equal(x, y), field.name


@cases()
@given(batch=batches(), seed=SEEDS, mask=MASKS)
@EXAMPLES
def test_every_voxel_is_background_or_one_actors_and_comes_from_that_actors_clip(case, batch, seed, mask):
    assert_provenance_is_lawful(mix(case, batch, seed, mask))


def assert_provenance_is_lawful(mixed: ClipBatch) -> None:
    assert mixed.provenance.dtype == mixed.voxel_sources.dtype == torch.int16
    assert ((mixed.voxel_sources >= 0) & (mixed.voxel_sources < len(mixed))).all()
    for host, labels in enumerate(mixed.labels):
        one_hot = torch.stack([mixed.provenance[host] == k for k in range(len(labels) + 1)])
        assert (one_hot.sum(dim=0) == 1).all()
        assert (labels // 10).tolist() == mixed.sources[host].tolist()
        for voxels, source in zip(one_hot[1:], mixed.sources[host], strict=True):
            assert (mixed.voxel_sources[host][voxels] == source).all()


@cases("copies")
@given(batch=batches(), seed=SEEDS, mask=MASKS)
@EXAMPLES
def test_every_voxel_has_the_value_that_it_has_in_the_clip_that_it_comes_from(case, batch, seed, mask):
    mixed = mix(case, batch, seed, mask)
    origin = mixed.voxel_sources.long()[:, None].expand_as(batch.clips)
    assert torch.equal(mixed.clips, batch.clips.gather(0, origin))


@cases("stays")
@given(batch=batches(), seed=SEEDS, mask=MASKS)
@EXAMPLES
def test_an_actor_stays_inside_its_box_on_its_frames(case, batch, seed, mask):
    mixed = mix(case, batch, seed, mask)
    for labels, boxes, valid in zip(mixed.labels, mixed.boxes, mixed.valid, strict=True):
        for label, box, seen in zip(labels.tolist(), boxes, valid, strict=True):
            source, row = divmod(label, 10)
            original = batch.boxes[source][row]
            assert not (seen & ~batch.valid[source][row]).any()
            assert (box[seen][:, :2] >= original[seen][:, :2]).all()
            assert (box[seen][:, 2:] <= original[seen][:, 2:]).all()


@cases()
@given(batch=batches(), seed=SEEDS, mask=MASKS, probability=st.sampled_from([0.0, 0.5, 1.0]))
@EXAMPLES
def test_a_valid_box_holds_a_voxel_of_its_actor_and_all_that_it_has(case, batch, seed, mask, probability):
    mixed = mix(case, batch, seed, mask, probability)
    for provenance, boxes, valid in zip(mixed.provenance, mixed.boxes, mixed.valid, strict=True):
        assert valid.any(dim=1).all()
        assert not boxes[~valid].any()
        inside = box_masks(boxes, HEIGHT, WIDTH)
        for row in range(len(boxes)):
            voxels = provenance == row + 1
            assert not (voxels & ~inside[row]).any()
            assert torch.equal(voxels.any(dim=2).any(dim=1), valid[row])


@cases()
@given(batch=batches(), seed=SEEDS, mask=MASKS)
@EXAMPLES
def test_silhouettes_are_empty_where_an_actor_is_not_valid_and_hold_what_is_cut_out_by_them(case, batch, seed, mask):
    mixed = mix(case, batch, seed, mask)
    for provenance, masks, valid in zip(mixed.provenance, mixed.actor_masks, mixed.valid, strict=True):
        assert not masks[~valid].any()
        for row in range(len(masks)):
            assert mask == "box" or not ((provenance == row + 1) & ~masks[row]).any()


@cases()
@given(batch=batches(), seed=SEEDS)
@EXAMPLES
def test_label_weights_follow_their_actors_and_do_not_grow(case, batch, seed):
    mixed = mix(case, batch, seed)
    for weights, labels in zip(mixed.label_weights, mixed.labels, strict=True):
        assert weights.dtype == torch.float32
        assert ((weights >= 0) & (weights <= weights_of(labels))).all()
        if case.trusts:
            assert torch.equal(weights, weights_of(labels))


@cases()
@given(batch=batches(), seed=SEEDS)
@EXAMPLES
def test_the_scene_of_a_clip_is_that_of_a_clip_that_it_shows(case, batch, seed):
    mixed = mix(case, batch, seed)
    for scene, voxel_sources in zip(mixed.scenes, mixed.voxel_sources, strict=True):
        assert int(scene) - 100 in voxel_sources.unique().tolist()
    assert mix(case, dataclasses.replace(batch, scenes=None), seed).scenes is None


@cases()
@given(batch=batches(), seed=SEEDS, mask=MASKS)
@EXAMPLES
def test_the_batch_stays_as_it_is_and_chance_comes_from_the_generator_alone(case, batch, seed, mask):
    before = dataclasses.replace(batch, clips=batch.clips.clone(), scenes=batch.scenes.clone(), **{
        name: tuple(value.clone() for value in getattr(batch, name))
        for name in ("boxes", "valid", "labels", "actor_masks")
    })  # fmt: skip
    first = mix(case, batch, seed, mask)
    assert_batches_equal(batch, before)
    torch.manual_seed(seed + 1)
    assert_batches_equal(mix(case, batch, seed, mask), first)


@cases()
@given(batch=batches(), seed=SEEDS, mask=MASKS)
@EXAMPLES
def test_with_probability_0_a_mixer_adds_provenance_and_nothing_else(case, batch, seed, mask):
    assert_batches_equal(mix(case, batch, seed, mask, probability=0.0), add_provenance(batch, mask))


@cases()
@given(batch=batches(), seed=SEEDS, mask=MASKS)
@EXAMPLES
def test_with_probability_0_a_mixed_batch_stays_as_it_is(case, batch, seed, mask):
    mixed = mix(MIXERS["Chain"], batch, seed, mask)
    assert_batches_equal(mix(case, mixed, seed, mask, probability=0.0), mixed)


@cases()
@given(batch=batches(), seed=SEEDS)
@EXAMPLES
def test_originals_are_handed_on(case, batch, seed):
    batch = dataclasses.replace(batch, originals=batch.clips)
    assert torch.equal(mix(case, batch, seed).originals, batch.clips)


@cases("flips")
@given(batch=batches(), seed=SEEDS, mask=MASKS)
@EXAMPLES
def test_mixing_commutes_with_a_horizontal_flip(case, batch, seed, mask):
    assert_batches_equal(mix(case, flip(batch), seed, mask), flip(mix(case, batch, seed, mask)))


@cases("upscales")
@given(batch=batches(whole_pixels=True), seed=SEEDS, mask=MASKS, factor=st.integers(2, 3))
@EXAMPLES
def test_mixing_commutes_with_nearest_upscaling(case, batch, seed, mask, factor):
    enlarged = upscale(mix(case, batch, seed, mask), factor)
    assert_batches_equal(mix(case, upscale(batch, factor), seed, mask), enlarged)


@cases()
@pytest.mark.parametrize("num_clips", [1, 3])
def test_clips_without_actors_are_mixed_without_actors(case, num_clips):
    nobody = ClipBatch(
        torch.randint(256, (num_clips, 3, FRAMES, HEIGHT, WIDTH)).byte(),
        (torch.zeros(0, FRAMES, 4),) * num_clips,
        (torch.zeros(0, FRAMES, dtype=torch.bool),) * num_clips,
        (torch.zeros(0, dtype=torch.int64),) * num_clips,
    )
    mixed = mix(case, nobody, seed=0)
    assert not mixed.provenance.any()
    assert mixed.clips.dtype == torch.uint8 and mixed.clips.shape == nobody.clips.shape
    assert [len(labels) for labels in mixed.labels] == [0] * num_clips


@cases()
@given(batch=batches(), seed=SEEDS)
@EXAMPLES
def test_a_batch_may_be_mixed_again(case, batch, seed):
    mixed = mix(MIXERS["BatchMix"], batch, seed)
    again = mix(case, mixed, seed + 1)
    for host, labels in enumerate(again.labels):
        assert (labels // 10).tolist() == again.sources[host].tolist()
        assert (again.label_weights[host] <= 1).all()
    if case.copies:
        origin = again.voxel_sources.long()[:, None].expand_as(batch.clips)
        assert torch.equal(again.clips, batch.clips.gather(0, origin))


@pytest.mark.gpu
@cases()
@given(batch=batches(), seed=SEEDS, mask=MASKS)
@EXAMPLES
def test_a_gpu_mixes_as_the_cpu_does(case, batch, seed, mask):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    on_gpu = mix(case, batch.to("cuda"), seed, mask)
    assert on_gpu.clips.is_cuda
    mixed, expected = on_gpu.to("cpu"), mix(case, batch, seed, mask)
    if case.atol is None:
        assert_provenance_is_lawful(mixed)
        return
    torch.testing.assert_close(mixed.clips, expected.clips, rtol=0, atol=case.atol)
    if case.atol:  # then boxes and weights, too, are results of calculations
        for name in ("boxes", "label_weights"):
            for left, right in zip(getattr(mixed, name), getattr(expected, name), strict=True):
                torch.testing.assert_close(left, right)
        mixed = dataclasses.replace(mixed, boxes=expected.boxes, label_weights=expected.label_weights)
    assert_batches_equal(dataclasses.replace(mixed, clips=expected.clips), expected)


@given(batch=batches(), seed=SEEDS, min_visible=st.sampled_from([0.0, 0.5, 1.0]))
@EXAMPLES
def test_boxes_of_a_layer_are_zero_where_not_valid(batch, seed, min_visible):
    visible = torch.rand(FRAMES, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed)) < 0.5
    for layer in layers_of(batch):
        kept = layer.keep(visible, min_visible)
        assert not kept.boxes[~kept.valid].any()
