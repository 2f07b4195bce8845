import dataclasses

import pytest
import torch

from stal.errors import ConfigError
from stal.mixing.batch_mix import BatchMix
from stal.mixing.layers import add_provenance
from stal.ops.masks import box_masks
from stal.structures import ClipBatch

FRAMES, HEIGHT, WIDTH = 3, 6, 8


def mix(batch: ClipBatch, seed: int = 0, **options) -> ClipBatch:
    return BatchMix(**{"probability": 1.0, **options})(batch, torch.Generator().manual_seed(seed))


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


def test_up_to_the_asked_number_of_actors_of_one_donor_are_pasted():
    corners = torch.arange(4.0)
    boxes = torch.stack([corners, corners, corners + 2, corners + 2], dim=-1)[:, None]  # (4, 1, 4)
    batch = ClipBatch(
        torch.zeros(3, 3, 1, HEIGHT, WIDTH),
        (boxes[:0], boxes[:2], boxes),
        tuple(torch.ones(n, 1, dtype=torch.bool) for n in (0, 2, 4)),
        (torch.arange(0), torch.arange(2) + 10, torch.arange(4) + 20),
    )
    seen = set()
    for seed in range(20):
        sources = mix(batch, seed, max_pasted=3).sources[0].tolist()
        assert sources in ([1, 1], [2, 2, 2])
        seen.add(len(sources))
    assert seen == {2, 3}


@pytest.mark.parametrize(
    ("host_box", "donor_box", "column"),
    [
        ([0.0, 0.0, 8.0, 5.0], [2.0, 1.0, 6.0, 6.0], [1, 2, 2, 2, 2, 2]),  # the donor ends lower
        ([0.0, 0.0, 8.0, 4.0], [2.0, 1.0, 6.0, 4.0], [1, 2, 2, 2, 0, 0]),  # equal: the pasted one is nearer
        ([0.0, 3.0, 8.0, 6.0], [2.0, 1.0, 6.0, 5.0], [0, 2, 2, 1, 1, 1]),  # the host ends lower
        ([0.0, 2.0, 8.0, 6.0], [2.0, 1.0, 6.0, 5.0], [0, 0, 1, 1, 1, 1]),  # and too little of the donor is seen
    ],
)
def test_by_depth_who_ends_lower_is_in_front(host_box, donor_box, column):
    batch = pair_of([[host_box]], [[donor_box]])
    batch = dataclasses.replace(batch, clips=torch.stack([torch.zeros(3, 1, HEIGHT, WIDTH)] * 2))
    batch.clips[1] += 9
    mixed = mix(batch, occlusion="depth", min_visible=0.5)
    assert mixed.provenance[0, 0, :, 3].tolist() == column
    # What is not labelled is not pasted either.
    assert mixed.clips[0, 0, 0, :, 3].tolist() == [9.0 if k == 2 else 0.0 for k in column]
    if column.count(2) == 2:
        assert mixed.boxes[0][1, 0].tolist() == [2, 1, 6, 3]


def test_a_feathered_paste_fades_over_its_edge_and_is_annotated_as_a_hard_one():
    batch = pair_of([[[0.0, 0.0, 1.0, 1.0]]], [[[4.0, 0.0, 8.0, 6.0]]])
    batch = dataclasses.replace(batch, clips=torch.zeros_like(batch.clips, dtype=torch.uint8))
    batch.clips[1] = 100
    soft, hard = mix(batch, feather=1), mix(batch)
    assert soft.clips[0, 0, 0, 3].tolist() == [0, 0, 0, 33, 67, 100, 100, 100]  # the border of the frame is no edge
    assert hard.clips[0, 0, 0, 3].tolist() == [0, 0, 0, 0, 100, 100, 100, 100]
    for name in ("provenance", "voxel_sources"):
        assert torch.equal(getattr(soft, name), getattr(hard, name))
    assert torch.equal(soft.boxes[0], hard.boxes[0])


def test_pasted_actors_are_enlarged_moved_and_delayed_within_the_asked_ranges():
    box, host_box = [[3.0, 2.0, 5.0, 4.0]] * 4, [[0.0, 0.0, 1.0, 1.0]] * 4
    batch = dataclasses.replace(
        pair_of([host_box], [box], host_frames=(True,) * 4),
        boxes=(torch.tensor([host_box]), torch.tensor([box])),
        valid=(torch.ones(1, 4, dtype=torch.bool), torch.ones(1, 4, dtype=torch.bool)),
    )
    widths, lefts, feet, num_frames = set(), set(), set(), set()
    for seed in range(40):
        mixed = mix(batch, seed, scale=(0.5, 1.5), max_offset=2)
        row = mixed.labels[0].tolist().index(7)
        seen = mixed.boxes[0][row][mixed.valid[0][row]]
        widths |= {round(float(width), 3) for width in seen[:, 2] - seen[:, 0]}
        feet |= {(round(float(x1 + x2) / 2, 3), round(float(y2), 3)) for x1, _, x2, y2 in seen}
        num_frames.add(len(seen))
        shifted = mix(batch, seed, shift=0.25)
        lefts |= set(shifted.boxes[0][shifted.labels[0].tolist().index(7), :, 0].tolist())
    assert 1 <= min(widths) < 1.5 and 2.5 < max(widths) <= 3
    assert feet == {(4.0, 4.0)}
    assert num_frames == {2, 3, 4}
    assert lefts == {1.0, 2.0, 3.0, 4.0, 5.0}


def test_what_is_not_asked_for_is_not_drawn():
    """So the mixes of a training stay what they were when a mixer learns something new."""
    batch = pair_of([[[0.0, 0.0, 4.0, 4.0]]], [[[0.0, 0.0, 4.0, 3.0]]])
    generator, expected = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    BatchMix(probability=1.0, feather=2, occlusion="depth")(batch, generator)
    for _ in range(2):  # for each clip: whether it is mixed, the donor, and the donor's actors
        torch.rand((), generator=expected), torch.randint(1, (), generator=expected)
        torch.randperm(1, generator=expected)
    assert torch.equal(generator.get_state(), expected.get_state())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"probability": 1.5}, "probability is 1.5"),
        ({"min_visible": -0.1}, "min_visible is -0.1"),
        ({"max_pasted": 0}, "max_pasted is 0"),
        ({"feather": -1}, "feather is -1"),
        ({"max_offset": -1}, "max_offset -1"),
        ({"shift": 1.5}, "shift is 1.5"),
        ({"scale": (0.0, 1.0)}, "scale is"),
        ({"scale": (1.5, 0.5)}, "scale is"),
    ],
)
def test_settings_out_of_range_are_an_error(options, message):
    with pytest.raises(ConfigError, match=message):
        BatchMix(**options)


def test_another_occlusion_is_an_error():
    with pytest.raises((ConfigError, TypeError), match="behind"):  # a TypeError where annotations are checked
        BatchMix(occlusion="behind")
