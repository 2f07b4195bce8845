import dataclasses

import pytest
import torch

from stal.mixing.layers import Layer, layers_of
from stal.mixing.placement import Placement
from stal.structures import ClipBatch

FRAMES, HEIGHT, WIDTH = 4, 8, 10
BOX = [3.0, 2.0, 5.0, 6.0]


def layer_of(*boxes, dtype=torch.uint8, silhouettes=None) -> Layer:
    """Return a clip of random pixels whose actors have the same box on every frame."""
    rows = torch.tensor(boxes)[:, None].repeat(1, FRAMES, 1)
    batch = ClipBatch(
        torch.randint(256, (1, 3, FRAMES, HEIGHT, WIDTH), generator=torch.Generator().manual_seed(0)).to(dtype),
        (rows,),
        (torch.ones(len(rows), FRAMES, dtype=torch.bool),),
        (torch.arange(len(rows)),),
        None if silhouettes is None else (silhouettes,),
    )
    return layers_of(batch, "box" if silhouettes is None else "silhouette")[0]


def spans(volume: torch.Tensor) -> list[int]:
    """Return first column, first row, end of columns, end of rows of what is True on the first frame."""
    rows, columns = volume[0].nonzero().unbind(1)
    return [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]


def test_nothing_moves_unless_asked():
    layer = layer_of(BOX, silhouettes=torch.rand(1, FRAMES, HEIGHT, WIDTH) < 0.5)
    moved = Placement()(layer, min_visible=1.0)
    for field in dataclasses.fields(Layer):
        assert torch.equal(getattr(moved, field.name), getattr(layer, field.name)), field.name


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_a_shift_copies_pixels_with_boxes_and_masks(dtype):
    layer = layer_of(BOX, dtype=dtype, silhouettes=torch.rand(1, FRAMES, HEIGHT, WIDTH) < 0.5)
    moved = Placement(shift=(2, -1))(layer, min_visible=1.0)
    assert moved.frames.dtype == dtype
    assert torch.equal(moved.frames[..., :-1, 2:], layer.frames[..., 1:, :-2])
    assert torch.equal(moved.volumes[..., :-1, 2:], layer.volumes[..., 1:, :-2])
    assert torch.equal(moved.silhouettes[..., :-1, 2:], layer.silhouettes[..., 1:, :-2])
    assert moved.boxes[0].tolist() == moved.uncut_boxes[0].tolist() == [[5, 1, 7, 5]] * FRAMES
    assert not moved.silhouettes[..., :2].any() and not moved.silhouettes[..., -1, :].any()


@pytest.mark.parametrize(
    ("scale", "expected"), [(0.5, [3.5, 4, 4.5, 6]), (1.5, [2.5, 0, 5.5, 6]), (2.0, [2, -2, 6, 6])]
)
def test_a_resized_actor_stands_where_it_stood(scale, expected):
    moved = Placement(scale=scale)(layer_of(BOX), min_visible=0.5)
    assert moved.uncut_boxes[0, 0].tolist() == expected
    assert moved.boxes[0, 0].tolist() == [max(value, 0) for value in expected]
    for edge, value in zip(spans(moved.volumes[0]), moved.boxes[0, 0].tolist(), strict=True):
        assert abs(edge - value) <= 0.5  # whole pixels are nearest


def test_pixels_of_a_resized_actor_follow_its_box():
    layer = layer_of(BOX)
    checkers = torch.zeros_like(layer.frames)
    checkers[..., 2:6, 3:5] = torch.tensor([[10, 20], [30, 40], [50, 60], [70, 80]], dtype=torch.uint8)
    moved = Placement(scale=2.0, shift=(0, 2))(dataclasses.replace(layer, frames=checkers), min_visible=0.0)
    assert moved.boxes[0, 0].tolist() == [2, 0, 6, 8]
    # Pixel i becomes 2 i and 2 i + 1; their middles are a quarter of the way to the next of the old middles.
    assert moved.frames[0, 0, 1:3, 3:5].tolist() == [[18, 22], [28, 32]]  # 17.5, 22.5, 27.5, 32.5
    assert moved.frames[0, 0, 1::2, 3].tolist() == [18, 38, 58, 54]  # below the last there is black


def test_a_plane_stays_a_plane_when_resized():
    layer = layer_of(BOX, dtype=torch.float64)
    plane = (torch.arange(WIDTH) + 100.0 * torch.arange(HEIGHT)[:, None]).double().expand_as(layer.frames)
    moved = Placement(scale=1.6, shift=(1, 1))(dataclasses.replace(layer, frames=plane.clone()), min_visible=0.0)
    columns = (torch.arange(WIDTH) + 0.5 - 4 - 1) / 1.6 + 4 - 0.5  # the foot is at (4, 6)
    rows = (torch.arange(HEIGHT) + 0.5 - 6 - 1) / 1.6 + 6 - 0.5
    expected = (columns + 100 * rows[:, None]).double()
    inside = (rows >= 0) & (rows <= HEIGHT - 1), (columns >= 0) & (columns <= WIDTH - 1)
    moved_plane, expected = (values[inside[0]][:, inside[1]] for values in (moved.frames[0, 0], expected))
    assert len(expected) > 4
    torch.testing.assert_close(moved_plane, expected, atol=1e-3, rtol=0)


def test_actors_of_one_clip_move_as_one():
    moved = Placement(scale=0.5)(layer_of([0.0, 0.0, 2.0, 4.0], [6.0, 4.0, 8.0, 8.0]), min_visible=0.0)
    assert moved.boxes[:, 0].tolist() == [[2, 4, 3, 6], [5, 6, 6, 8]]  # about (4, 8)


@pytest.mark.parametrize(("offset", "frames"), [(1, [None, 0, 1, 2]), (-2, [2, 3, None, None]), (4, [None] * 4)])
def test_an_actor_is_not_there_before_and_after_its_clip(offset, frames):
    layer = layer_of(BOX, silhouettes=torch.ones(1, FRAMES, HEIGHT, WIDTH, dtype=torch.bool))
    moved = Placement(offset=offset)(layer, min_visible=1.0)
    assert moved.valid[0].tolist() == [frame is not None for frame in frames]
    assert not moved.boxes[~moved.valid].any() and not moved.volumes[~moved.valid].any()
    assert not moved.silhouettes[~moved.valid].any()
    for now, before in enumerate(frames):
        if before is not None:
            assert torch.equal(moved.frames[:, now], layer.frames[:, before])
            assert torch.equal(moved.volumes[:, now], layer.volumes[:, before])


@pytest.mark.parametrize(
    ("shift", "visible", "box"),
    [
        ((-4, 0), True, [0, 2, 1, 6]),  # just half of it
        ((-5, 0), False, [0, 0, 0, 0]),  # it touches the border from outside
        ((6, 4), False, [0, 0, 0, 0]),  # a quarter
        ((0, 4), True, [3, 6, 5, 8]),
    ],
)
def test_an_actor_that_leaves_the_frame_is_cut_or_dropped(shift, visible, box):
    moved = Placement(shift=shift)(layer_of(BOX), min_visible=0.5)
    assert moved.valid.tolist() == [[visible] * FRAMES]
    assert moved.boxes[0, 0].tolist() == box
    assert bool(moved.volumes.any()) == visible
    if visible:
        assert spans(moved.volumes[0]) == box


@pytest.mark.parametrize("scale", [1.0, 0.5, 2.0])
def test_how_much_of_an_actor_is_in_the_frame_is_judged_by_its_voxels(scale):
    """Its box is cut to the half that its silhouette leaves empty, or to the one with all of it."""
    silhouette = torch.zeros(1, FRAMES, HEIGHT, WIDTH, dtype=torch.bool)
    silhouette[..., 2:6, 4] = True  # of the columns 3 and 4
    layer = layer_of(BOX, silhouettes=silhouette)
    left, right = (Placement(scale=scale, shift=(shift, 0))(layer, min_visible=0.5) for shift in (-4, 6))
    assert left.valid.all() and not right.valid.any()


def test_frames_without_a_box_do_not_tell_where_the_foot_is():
    layer = layer_of(BOX)
    valid = torch.tensor([[False, True, True, False]])
    layer = dataclasses.replace(layer, valid=valid, boxes=layer.boxes * valid[..., None])
    moved = Placement(scale=0.5)(layer, min_visible=0.0)
    assert moved.boxes[0].tolist() == [[0] * 4, [3.5, 4, 4.5, 6], [3.5, 4, 4.5, 6], [0] * 4]
