import dataclasses

import pytest
import torch

from stal.errors import ConfigError, ShapeError
from stal.mixing.layers import add_provenance
from stal.mixing.provenance import drop_hidden_actors, paint_actors
from stal.ops.masks import box_masks
from stal.structures import ClipBatch

HEIGHT, WIDTH = 5, 6


def make_batch(*boxes_of_clips, masks=None) -> ClipBatch:
    """Return clips of two frames whose actors have the same box on both."""
    boxes = tuple(torch.tensor(b, dtype=torch.float32).reshape(-1, 1, 4).repeat(1, 2, 1) for b in boxes_of_clips)
    return ClipBatch(
        clips=torch.zeros(len(boxes), 3, 2, HEIGHT, WIDTH, dtype=torch.uint8),
        boxes=boxes,
        valid=tuple(torch.ones(len(b), 2, dtype=torch.bool) for b in boxes),
        labels=tuple(torch.zeros(len(b), dtype=torch.int64) for b in boxes),
        actor_masks=masks,
    )


def rows(provenance: torch.Tensor) -> list[str]:
    return ["".join(str(k) for k in row) for row in provenance.tolist()]


def test_every_voxel_is_background_or_the_actor_whose_box_it_is_in():
    batch = add_provenance(make_batch([[1, 1, 3, 3], [4, 0, 6, 2]], []))
    assert batch.provenance.dtype == torch.int16
    assert rows(batch.provenance[0, 1]) == ["000022", "011022", "011000", "000000", "000000"]
    assert not batch.provenance[1].any()
    assert [sources.tolist() for sources in batch.sources] == [[0, 0], []]


@pytest.mark.parametrize(
    ("first", "second", "middle_row"),
    [
        ([0, 0, 4, 5], [2, 0, 6, 4], "111122"),  # the first ends lower
        ([0, 0, 4, 4], [2, 0, 6, 5], "112222"),
        ([0, 0, 4, 4], [2, 0, 6, 4], "112222"),  # equal: the later row is nearer
    ],
)
def test_the_actor_whose_box_ends_lower_is_in_front(first, second, middle_row):
    assert rows(add_provenance(make_batch([first, second])).provenance[0, 0])[2] == middle_row


def test_who_is_in_front_is_decided_frame_by_frame():
    boxes = torch.tensor([[[0, 0, 6, 5], [0, 0, 6, 2]], [[0, 0, 6, 3], [0, 0, 6, 3]], [[0, 0, 6, 1], [0, 0, 6, 4]]])
    provenance = paint_actors(box_masks(boxes.float(), HEIGHT, WIDTH), boxes.float())
    assert provenance[:, :, 0].tolist() == [[1, 1, 1, 1, 1], [3, 3, 3, 3, 0]]


def test_an_actor_has_no_voxel_where_it_is_not_valid():
    batch = make_batch([[0, 0, 6, 5]])
    batch = dataclasses.replace(batch, valid=(torch.tensor([[True, False]]),))
    assert add_provenance(batch).provenance.sum(dim=(2, 3)).tolist() == [[HEIGHT * WIDTH, 0]]


def test_silhouettes_decide_inside_the_boxes():
    masks = torch.zeros(1, 2, HEIGHT, WIDTH, dtype=torch.bool)
    masks[..., 2, :] = True
    batch = make_batch([[1, 1, 4, 4]], masks=(masks,))
    assert rows(add_provenance(batch, "silhouette").provenance[0, 0]) == ["000000"] * 2 + ["011100"] + ["000000"] * 2
    assert rows(add_provenance(batch, "box").provenance[0, 0])[1] == "011100"


@pytest.mark.parametrize(
    ("boxes", "kept", "middle_row"),
    [
        ([[2, 1, 4, 3], [1, 0, 5, 4]], [1], "011110"),  # inside a nearer one
        ([[1, 0, 5, 4], [2, 1, 4, 4]], [0, 1], "012210"),  # the inner one is nearer
        ([[1, 0, 5, 4], [1, 0, 5, 4], [0, 0, 1, 5]], [1, 2], "211110"),  # identical: the later row is nearer
        ([[0, 0, 3, 4], [3, 0, 6, 5]], [0, 1], "111222"),  # touching
        ([[0, 0, 4, 3], [0, 0, 2, 4], [2, 0, 4, 4]], [1, 2], "112200"),  # two nearer ones cover it together
        ([[1.5, 1, 3, 3], [1.2, 0, 3, 4]], [1], "011000"),  # a part of a pixel that nobody sees
    ],
)
def test_an_actor_without_a_voxel_is_removed_and_ids_follow(boxes, kept, middle_row):
    batch = dataclasses.replace(make_batch(boxes), labels=(torch.arange(len(boxes)),))
    batch = add_provenance(batch)
    assert batch.labels[0].tolist() == kept
    assert batch.boxes[0][:, 0].tolist() == torch.tensor(boxes, dtype=torch.float32)[kept].tolist()
    assert len(batch.sources[0]) == len(batch.valid[0]) == len(kept)
    assert rows(batch.provenance[0, 0])[2] == middle_row


def test_an_actor_that_is_covered_on_one_frame_is_not_valid_there():
    boxes = torch.tensor([[[1.0, 1, 3, 3]] * 2, [[0.0, 0, 6, 4], [4.0, 0, 6, 4]]])
    batch = dataclasses.replace(make_batch(boxes[:, 0].tolist()), boxes=(boxes,))
    batch = add_provenance(batch)
    assert batch.valid[0].tolist() == [[False, True], [True, True]]
    assert batch.boxes[0].tolist() == [[[0, 0, 0, 0], [1, 1, 3, 3]], boxes[1].tolist()]


def test_an_actor_whose_silhouette_is_missing_on_a_frame_is_not_valid_there():
    masks = torch.ones(1, 2, HEIGHT, WIDTH, dtype=torch.bool)
    masks[0, 1] = False
    batch = make_batch([[1, 1, 4, 4]], masks=(masks,))
    assert add_provenance(batch, "silhouette").valid[0].tolist() == [[True, False]]
    assert add_provenance(batch, "box").valid[0].tolist() == [[True, True]]


def test_hidden_actors_are_looked_for_in_the_provenance():
    with pytest.raises(ShapeError, match="no provenance"):
        drop_hidden_actors(make_batch([]))


def test_missing_silhouettes_are_an_error_that_names_the_remedy():
    with pytest.raises(ShapeError, match=r"train_dataloader\.dataset\.with_masks=True"):
        add_provenance(make_batch([]), "silhouette")


def test_provenance_is_made_only_once():
    with pytest.raises(ShapeError, match="only once"):
        add_provenance(add_provenance(make_batch([])))


def test_another_mask_is_an_error():
    with pytest.raises((ConfigError, TypeError), match="outline"):  # a TypeError where annotations are checked
        add_provenance(make_batch([]), "outline")
