import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stal.errors import ConfigError, ShapeError
from stal.mixing.batch_mix import BatchMix, batch_mix
from stal.mixing.provenance import add_provenance
from stal.ops.masks import box_masks
from stal.structures import ClipBatch

# The checker of annotations picks the item of a tuple that it looks at by `random`, also while a batch is drawn.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")

FRAMES, HEIGHT, WIDTH = 3, 6, 8
MASKS = st.sampled_from(["box", "silhouette"])
SEEDS = st.integers(0, 1_000_000)


RELATIONS = st.sampled_from(["independent", "identical", "inside", "touching"])


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


@st.composite
def batches(draw, max_actors: int = 3, whole_pixels: bool = False) -> ClipBatch:
    """Draw clips in which every value, and every label, occurs once in the batch, so that it tells its origin."""
    num_actors = draw(st.lists(st.integers(0, max_actors), min_size=1, max_size=4))
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
    )


def mix(batch: ClipBatch, seed: int = 0, **options) -> ClipBatch:
    return batch_mix(batch, torch.Generator().manual_seed(seed), **{"probability": 1.0, **options})


def flip(batch: ClipBatch) -> ClipBatch:
    width = batch.clips.shape[-1]
    mirrored = [torch.stack([width - b[..., 2], b[..., 1], width - b[..., 0], b[..., 3]], dim=-1) for b in batch.boxes]
    return dataclasses.replace(
        batch,
        clips=batch.clips.flip(-1),
        boxes=tuple(b * v[..., None] for b, v in zip(mirrored, batch.valid, strict=True)),
        actor_masks=tuple(m.flip(-1) for m in batch.actor_masks),
        provenance=None if batch.provenance is None else batch.provenance.flip(-1),
    )


def upscale(batch: ClipBatch, factor: int) -> ClipBatch:
    def grow(volume: torch.Tensor) -> torch.Tensor:
        return volume.repeat_interleave(factor, dim=-1).repeat_interleave(factor, dim=-2)

    return dataclasses.replace(
        batch,
        clips=grow(batch.clips),
        boxes=tuple(b * factor for b in batch.boxes),
        actor_masks=tuple(grow(m) for m in batch.actor_masks),
        provenance=None if batch.provenance is None else grow(batch.provenance),
    )


def assert_batches_equal(a: ClipBatch, b: ClipBatch) -> None:
    for field in dataclasses.fields(ClipBatch):
        left, right = getattr(a, field.name), getattr(b, field.name)
        if isinstance(left, torch.Tensor):
            left, right = (left,), (right,)
        assert (left is None) == (right is None), field.name
        for x, y in zip(left or (), right or (), strict=True):
            assert x.dtype == y.dtype and torch.equal(x, y), field.name


@given(batches(), SEEDS, MASKS, st.integers(1, 3))
@settings(max_examples=80, deadline=None)
def test_provenance_partitions_every_voxel_and_tells_where_it_came_from(batch, seed, mask, max_pasted):
    mixed = mix(batch, seed, mask=mask, max_pasted=max_pasted)
    for host in range(len(batch)):
        provenance, sources = mixed.provenance[host], mixed.sources[host]
        assert len(sources) == len(mixed.labels[host])
        one_hot = torch.stack([provenance == k for k in range(len(sources) + 1)])
        assert (one_hot.sum(dim=0) == 1).all()
        for voxels, source in zip(one_hot, [host, *sources.tolist()], strict=True):
            assert torch.equal(mixed.clips[host][:, voxels], batch.clips[source][:, voxels])
        assert (mixed.labels[host] // 10).tolist() == sources.tolist()


@given(batches(), SEEDS, MASKS, st.integers(1, 3))
@settings(max_examples=80, deadline=None)
def test_pasted_actors_are_of_one_other_clip_and_keep_their_boxes(batch, seed, mask, max_pasted):
    mixed = mix(batch, seed, mask=mask, max_pasted=max_pasted)
    counts = [len(labels) for labels in batch.labels]
    for host, sources in enumerate(mixed.sources):
        pasted = sources != host
        donors = set(sources[pasted].tolist())
        assert len(donors) <= 1
        has_donor = any(count for clip, count in enumerate(counts) if clip != host)
        if mask == "box" and has_donor:
            assert 1 <= pasted.sum() <= min(max_pasted, counts[min(donors)])
        for row in pasted.nonzero().flatten().tolist():
            source, original = divmod(int(mixed.labels[host][row]), 10)
            valid = mixed.valid[host][row]
            assert torch.equal(mixed.boxes[host][row][valid], batch.boxes[source][original][valid])
            assert not (valid & ~batch.valid[source][original]).any()


@given(batches(), SEEDS, MASKS, st.sampled_from([0.0, 0.5, 1.0]), st.integers(1, 3), st.sampled_from([0.0, 0.3, 1.0]))
@settings(max_examples=200, deadline=None)
def test_a_valid_box_holds_a_voxel_of_its_actor_and_all_that_it_has(
    batch, seed, mask, probability, max_pasted, min_visible
):
    mixed = mix(batch, seed, mask=mask, probability=probability, max_pasted=max_pasted, min_visible=min_visible)
    for provenance, boxes, valid in zip(mixed.provenance, mixed.boxes, mixed.valid, strict=True):
        assert valid.any(dim=1).all()
        assert not boxes[~valid].any()
        assert int(provenance.max()) <= len(boxes)
        inside = box_masks(boxes, HEIGHT, WIDTH)
        for row in range(len(boxes)):
            voxels = provenance == row + 1
            assert not (voxels & ~inside[row]).any()
            assert torch.equal(voxels.any(dim=2).any(dim=1), valid[row])


@given(batches(), SEEDS, MASKS)
@settings(max_examples=50, deadline=None)
def test_a_silhouette_is_empty_where_its_actor_is_not_valid(batch, seed, mask):
    mixed = mix(batch, seed, mask=mask)
    for masks, valid in zip(mixed.actor_masks, mixed.valid, strict=True):
        assert not masks[~valid].any()


@given(batches(), SEEDS)
@settings(max_examples=50, deadline=None)
def test_silhouettes_paste_only_what_is_silhouette(batch, seed):
    mixed = mix(batch, seed, mask="silhouette")
    for host, sources in enumerate(mixed.sources):
        for row in range(len(sources)):
            source, original = divmod(int(mixed.labels[host][row]), 10)
            voxels = mixed.provenance[host] == row + 1
            assert not (voxels & ~batch.actor_masks[source][original]).any()
            assert not (voxels & ~mixed.actor_masks[host][row]).any()


@given(batches(), SEEDS, MASKS, st.sampled_from([0.0, 0.3, 1.0]))
@settings(max_examples=50, deadline=None)
def test_mixing_commutes_with_a_horizontal_flip(batch, seed, mask, min_visible):
    options = {"mask": mask, "max_pasted": 2, "min_visible": min_visible}
    assert_batches_equal(mix(flip(batch), seed, **options), flip(mix(batch, seed, **options)))


@given(batches(whole_pixels=True), SEEDS, MASKS, st.integers(2, 3))
@settings(max_examples=50, deadline=None)
def test_mixing_commutes_with_nearest_upscaling(batch, seed, mask, factor):
    options = {"mask": mask, "max_pasted": 2, "min_visible": 0.25}
    assert_batches_equal(mix(upscale(batch, factor), seed, **options), upscale(mix(batch, seed, **options), factor))


@given(batches(), SEEDS, MASKS)
@settings(max_examples=50, deadline=None)
def test_mixing_leaves_its_input_alone_and_depends_on_the_generator_alone(batch, seed, mask):
    before = dataclasses.replace(batch, clips=batch.clips.clone(), **{
        name: tuple(value.clone() for value in getattr(batch, name))
        for name in ("boxes", "valid", "labels", "actor_masks")
    })  # fmt: skip
    first = mix(batch, seed, mask=mask)
    assert_batches_equal(batch, before)
    torch.manual_seed(seed + 1)
    assert_batches_equal(mix(batch, seed, mask=mask), first)


@given(batches(), SEEDS, MASKS)
@settings(max_examples=50, deadline=None)
def test_without_mixing_provenance_is_added(batch, seed, mask):
    assert_batches_equal(mix(batch, seed, mask=mask, probability=0.0), add_provenance(batch, mask))


@given(batches())
@settings(max_examples=30, deadline=None)
def test_a_clip_that_has_no_partner_with_actors_is_not_mixed(batch):
    lonely = ClipBatch(
        batch.clips[:1], batch.boxes[:1], batch.valid[:1], batch.labels[:1], actor_masks=batch.actor_masks[:1]
    )
    assert_batches_equal(mix(lonely), add_provenance(lonely))
    nobody = [torch.zeros(0, FRAMES, 4), torch.zeros(0, FRAMES, dtype=torch.bool), torch.zeros(0, dtype=torch.int64)]
    pair = ClipBatch(
        torch.cat([lonely.clips, lonely.clips]),
        *((getattr(lonely, name)[0], empty) for name, empty in zip(("boxes", "valid", "labels"), nobody, strict=True)),
    )
    assert torch.equal(mix(pair).provenance[0], add_provenance(pair).provenance[0])
    assert not mix(pair).sources[0].any()


def pair_of(host_box, donor_box, host_frames=(True,)) -> ClipBatch:
    """Return a clip with one actor, and a clip whose only actor is on the first frame, to be pasted into it."""
    frames = len(host_frames)
    host_valid, donor_valid = torch.tensor([host_frames]), torch.zeros(1, frames, dtype=torch.bool)
    donor_valid[0, 0] = True
    return ClipBatch(
        torch.zeros(2, 3, frames, HEIGHT, WIDTH),
        (torch.tensor(host_box) * host_valid[..., None], torch.tensor(donor_box) * donor_valid[..., None]),
        (host_valid, donor_valid),
        (torch.tensor([4]), torch.tensor([7])),
    )


@pytest.mark.parametrize(
    ("host_box", "donor_box", "expected"),
    [
        ([0.0, 0.0, 4.0, 4.0], [4.0, 0.0, 8.0, 4.0], [0, 0, 4, 4]),  # touches
        ([0.5, 0.5, 3.5, 3.5], [4.0, 4.0, 8.0, 6.0], [0.5, 0.5, 3.5, 3.5]),  # does not touch
        ([0.5, 0.5, 3.5, 3.5], [3.0, 0.0, 8.0, 6.0], [0.5, 0.5, 3, 3.5]),  # hides the last column
        ([0.0, 0.0, 4.0, 4.0], [0.0, 1.0, 8.0, 2.0], [0, 0, 4, 4]),  # hides a row in the middle
        ([0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 2.0], [0, 2, 4, 4]),  # half remains: just enough
        ([0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 3.0], None),
        ([0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 8.0, 6.0], None),
    ],
)
def test_a_hidden_actor_has_its_box_cut_or_dropped(host_box, donor_box, expected):
    batch = pair_of([[host_box]], [[donor_box]])
    mixed = mix(batch, min_visible=0.5)
    if expected is None:
        assert mixed.labels[0].tolist() == [7] and mixed.sources[0].tolist() == [1]
        assert torch.equal(mixed.provenance[0, 0], box_masks(torch.tensor(donor_box), HEIGHT, WIDTH).short())
    else:
        assert mixed.labels[0].tolist() == [4, 7] and mixed.sources[0].tolist() == [0, 1]
        assert mixed.boxes[0][:, 0].tolist() == [expected, donor_box]


def test_what_remains_of_an_actor_that_is_dropped_on_a_frame_is_background_there_alone():
    batch = pair_of([[[0.0, 0.0, 4.0, 4.0]] * 2], [[[0.0, 0.0, 4.0, 3.0]] * 2], host_frames=(True, True))
    mixed = mix(batch, min_visible=0.5)
    assert mixed.valid[0].tolist() == [[False, True], [True, False]]
    assert mixed.provenance[0, :, :5, 0].tolist() == [[2, 2, 2, 0, 0], [1, 1, 1, 1, 0]]


def test_an_actor_pasted_over_another_is_on_top_however_far_it_stands():
    mixed = mix(pair_of([[[0.0, 0.0, 4.0, 6.0]]], [[[0.0, 0.0, 2.0, 2.0]]]))
    assert mixed.provenance[0, 0, :3, :3].tolist() == [[2, 2, 1], [2, 2, 1], [1, 1, 1]]


def test_who_of_a_clip_is_in_front_is_not_changed_by_what_a_paste_hides():
    """The first actor ends lowest, but the paste hides its feet."""
    host_boxes, donor_boxes = [[[0.0, 0.0, 4.0, 6.0]], [[2.0, 0.0, 6.0, 4.0]]], [[[0.0, 3.0, 8.0, 6.0]]]
    batch = pair_of(host_boxes[:1], donor_boxes)
    batch = dataclasses.replace(
        batch,
        boxes=(torch.tensor(host_boxes), batch.boxes[1]),
        valid=(torch.ones(2, 1, dtype=torch.bool), batch.valid[1]),
        labels=(torch.tensor([4, 5]), batch.labels[1]),
    )
    mixed = mix(batch)
    assert mixed.provenance[0, 0, :, 3].tolist() == [1, 1, 1, 3, 3, 3]
    assert mixed.boxes[0][:, 0, 3].tolist() == [3, 3, 6]


def test_an_actor_whose_silhouette_is_missing_on_a_frame_is_hidden_there():
    batch = pair_of([[[0.0, 0.0, 4.0, 4.0]] * 2], [[[4.0, 0.0, 8.0, 4.0]] * 2], host_frames=(True, True))
    masks = [box_masks(boxes, HEIGHT, WIDTH) for boxes in batch.boxes]
    masks[0][:, 1] = False
    mixed = mix(dataclasses.replace(batch, actor_masks=tuple(masks)), mask="silhouette")
    assert mixed.valid[0].tolist() == [[True, False], [True, False]]
    assert not mixed.boxes[0][0, 1].any()


def test_a_pasted_actor_that_another_pasted_one_covers_is_removed():
    batch = pair_of([[[0.0, 0.0, 2.0, 2.0]]], [[[4.0, 0.0, 8.0, 4.0]]])
    donor_boxes = torch.tensor([[[5.0, 1.0, 6.0, 2.0]], [[4.0, 0.0, 8.0, 4.0]]])
    batch = dataclasses.replace(
        batch,
        boxes=(batch.boxes[0], donor_boxes),
        valid=(batch.valid[0], torch.ones(2, 1, dtype=torch.bool)),
        labels=(batch.labels[0], torch.tensor([7, 8])),
    )
    mixed = mix(batch, max_pasted=2)
    assert mixed.labels[0].tolist() == [4, 8]
    assert mixed.provenance[0, 0, 1].tolist() == [1, 1, 0, 0, 2, 2, 2, 2]


def test_clips_of_bytes_stay_clips_of_bytes():
    batch = pair_of([[[0.0, 0.0, 2.0, 2.0]]], [[[4.0, 4.0, 6.0, 6.0]]])
    batch = dataclasses.replace(batch, clips=torch.full_like(batch.clips, 200, dtype=torch.uint8))
    assert mix(batch).clips.dtype == torch.uint8
    assert add_provenance(batch).clips is batch.clips


def test_about_the_asked_part_of_the_clips_is_mixed():
    clips = [pair_of([[[0.0, 0.0, 2.0, 2.0]]], [[[4.0, 4.0, 6.0, 6.0]]])] * 200
    batch = ClipBatch(
        torch.cat([pair.clips for pair in clips]),
        *(tuple(value for pair in clips for value in getattr(pair, name)) for name in ("boxes", "valid", "labels")),
    )
    mixed = sum(bool((sources != host).any()) for host, sources in enumerate(mix(batch, probability=0.3).sources))
    assert 80 < mixed < 160


def test_the_mixer_is_the_function_with_its_settings():
    batch = pair_of([[[0.0, 0.0, 4.0, 4.0]]], [[[0.0, 0.0, 4.0, 3.0]]])
    options = {"probability": 0.9, "mask": "box", "max_pasted": 2, "min_visible": 0.1}
    mixed = BatchMix(**options)(batch, torch.Generator().manual_seed(5))
    assert_batches_equal(mixed, mix(batch, 5, **options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"probability": 1.5}, "probability is 1.5"),
        ({"min_visible": -0.1}, "min_visible is -0.1"),
        ({"max_pasted": 0}, "max_pasted is 0"),
    ],
)
def test_settings_out_of_range_are_an_error(options, message):
    with pytest.raises(ConfigError, match=message):
        BatchMix(**options)
    with pytest.raises(ConfigError, match=message):
        mix(pair_of([[[0.0, 0.0, 4.0, 4.0]]], [[[0.0, 0.0, 4.0, 3.0]]]), **options)


def test_a_batch_is_mixed_only_once():
    batch = pair_of([[[0.0, 0.0, 4.0, 4.0]]], [[[0.0, 0.0, 4.0, 3.0]]])
    with pytest.raises(ShapeError, match="only once"):
        mix(mix(batch))


@pytest.mark.gpu
@given(batches(), SEEDS, MASKS)
@settings(max_examples=20, deadline=None)
def test_a_gpu_mixes_as_the_cpu_does(batch, seed, mask):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    mixed = mix(batch.to("cuda"), seed, mask=mask)
    assert mixed.clips.is_cuda
    assert_batches_equal(mixed.to("cpu"), mix(batch, seed, mask=mask))
