import cv2
import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stal.ops.masks import box_masks, dilate_masks, grow_masks, mask_boxes

HEIGHT, WIDTH = 5, 7

# Eighths of a pixel, some beyond the image: exact in float32, so that mirrored coordinates are too.
coordinates = st.integers(-16, 8 * WIDTH + 16).map(lambda eighths: eighths / 8)
boxes_with_area = st.tuples(coordinates, coordinates, coordinates, coordinates).filter(
    lambda box: box[0] < box[2] and box[1] < box[3]
)


@pytest.mark.parametrize(
    ("box", "columns", "rows"),
    [
        ([1, 2, 4, 4], [1, 2, 3], [2, 3]),
        ([1.5, 2.5, 1.6, 2.6], [1], [2]),  # inside one pixel
        ([0.9, 0, 2.1, 1], [0, 1, 2], [0]),  # touches three columns
        ([-3, -3, 1, 1], [0], [0]),  # cut by the image
        ([-9, -9, 99, 99], range(WIDTH), range(HEIGHT)),
        ([7, 0, 9, 5], [], []),  # touches the image from outside
        ([-2, 0, 0, 5], [], []),
        ([0, 0, 0, 0], [], []),
        ([3.5, 3.5, 3.5, 4.5], [], []),  # no area
        ([4, 1, 2, 3], [], []),  # upside down
    ],
)
def test_a_pixel_is_inside_if_the_box_covers_any_part_of_it(box, columns, rows):
    expected = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    for row in rows:
        expected[row, list(columns)] = True
    assert torch.equal(box_masks(torch.tensor(box, dtype=torch.float32), HEIGHT, WIDTH), expected)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 3)])
def test_leading_dimensions_are_kept(shape):
    masks = box_masks(torch.ones(*shape, 4), HEIGHT, WIDTH)
    assert masks.shape == (*shape, HEIGHT, WIDTH)
    boxes, valid = mask_boxes(masks)
    assert boxes.shape == (*shape, 4) and valid.shape == shape


@given(boxes_with_area)
def test_rasterizing_commutes_with_a_horizontal_flip(box):
    x1, y1, x2, y2 = box
    flipped = torch.tensor([WIDTH - x2, y1, WIDTH - x1, y2])
    assert torch.equal(box_masks(flipped, HEIGHT, WIDTH), box_masks(torch.tensor(box), HEIGHT, WIDTH).flip(-1))


@given(boxes_with_area)
def test_a_box_with_area_inside_the_image_has_a_pixel_and_its_tight_box_is_rounded_outwards(box):
    tight, found = mask_boxes(box_masks(torch.tensor(box), HEIGHT, WIDTH))
    x1, y1, x2, y2 = (np.clip(value, 0, end) for value, end in zip(box, [WIDTH, HEIGHT] * 2, strict=True))
    assert bool(found) == (x1 < x2 and y1 < y2)
    if found:
        assert tight.tolist() == [np.floor(x1), np.floor(y1), np.ceil(x2), np.ceil(y2)]


@given(hnp.arrays(bool, (2, 3, HEIGHT, WIDTH)))
def test_mask_boxes_are_tight(masks):
    boxes, found = mask_boxes(torch.from_numpy(masks))
    assert boxes.dtype == torch.float32
    for mask, box, is_found in zip(
        masks.reshape(-1, HEIGHT, WIDTH), boxes.reshape(-1, 4).tolist(), found.flatten().tolist(), strict=True
    ):
        rows, columns = np.nonzero(mask)
        expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] if len(rows) else [0, 0, 0, 0]
        assert is_found == bool(len(rows)) and box == expected


def grown(box: list[int], fraction: float, size: tuple[int, int] = (40, 50)) -> list[int]:
    """Return the tight box of a box's mask after it is grown, which must still be a box."""
    mask = grow_masks(box_masks(torch.tensor(box, dtype=torch.float32), *size), fraction)
    tight, _ = mask_boxes(mask)
    assert torch.equal(mask, box_masks(tight, *size))
    return tight.int().tolist()


@pytest.mark.parametrize(
    ("box", "fraction", "expected"),
    [
        ([10, 10, 30, 30], 0.1, [9, 9, 31, 31]),  # 20 wide, 22 after it
        ([10, 10, 30, 30], -0.1, [11, 11, 29, 29]),
        ([10, 5, 30, 35], 0.3, [7, 0, 33, 40]),  # 20 x 30: 3 on each side, and 4.5 rounded to 5
        ([10, 5, 30, 35], -0.3, [13, 10, 27, 30]),
        ([10, 10, 20, 19], 0.1, [9, 10, 21, 19]),  # half a pixel is one, less is none
        ([0, 0, 50, 40], 0.3, [0, 0, 50, 40]),
        ([0, 0, 50, 40], -0.2, [5, 4, 45, 36]),  # the outside of the image is not the actor's
        ([0, 0, 20, 40], 0.1, [0, 0, 21, 40]),
        ([10, 10, 30, 30], 0.0, [10, 10, 30, 30]),
        ([10, 10, 11, 11], 5.0, [7, 7, 14, 14]),
        ([10, 10, 14, 14], -0.99, [11, 11, 13, 13]),  # two pixels on each side would leave nothing: one
        ([3, 3, 4, 4], -0.99, [3, 3, 4, 4]),
    ],
)
def test_a_box_grows_by_a_fraction_of_its_size(box, fraction, expected):
    assert grown(box, fraction) == expected


def test_every_mask_grows_by_its_own_size():
    boxes = torch.tensor([[[10.0, 10, 20, 20], [10, 10, 30, 20]], [[10, 10, 40, 30], [0, 0, 0, 0]]])
    tight, found = mask_boxes(grow_masks(box_masks(boxes, 40, 50), 0.2))
    assert tight.tolist() == [[[9, 9, 21, 21], [8, 9, 32, 21]], [[7, 8, 43, 32], [0, 0, 0, 0]]]
    assert found.tolist() == [[True, True], [True, False]]


def test_a_silhouette_that_an_erosion_would_leave_empty_is_eroded_by_less():
    thin = torch.zeros(40, 40, dtype=torch.bool)
    thin[:, 20:23] = True  # a body of three columns with an arm, so that its box is wide
    thin[10, 20:] = True
    eroded = grow_masks(thin, -0.5)  # 5 of 20 columns and 10 of 40 rows, then 2 and 5, then 1 and 2
    assert eroded.sum(dim=0).nonzero().tolist() == [[21]]
    assert eroded[:, 21].nonzero().flatten().tolist() == list(range(2, 38))


silhouettes = hnp.arrays(bool, (3, 9, 11), elements=st.sampled_from([True, True, True, False]))
fractions = st.sampled_from([0.1, 0.2, 0.3, 0.5, 0.9])


@given(silhouettes, fractions)
@settings(max_examples=30, deadline=None)
def test_a_dilated_mask_holds_the_mask_that_holds_the_eroded_mask(masks, fraction):
    masks = torch.from_numpy(masks)
    dilated, eroded = grow_masks(masks, fraction), grow_masks(masks, -fraction)
    assert not (masks & ~dilated).any() and not (eroded & ~masks).any()
    for changed in (dilated, eroded):
        assert torch.equal(changed.flatten(1).any(1), masks.flatten(1).any(1))


@given(silhouettes, fractions)
@settings(max_examples=30, deadline=None)
def test_growing_is_cv2s_morphology_with_a_rectangle(masks, fraction):
    boxes, _ = mask_boxes(torch.from_numpy(masks))
    distances = np.floor((boxes[:, 2:] - boxes[:, :2]).numpy() * np.float32(fraction) / 2 + 0.5).astype(int)
    for mask, (x, y) in zip(masks, distances, strict=True):
        kernel = np.ones((2 * y + 1, 2 * x + 1), np.uint8)
        border = {"borderType": cv2.BORDER_CONSTANT, "borderValue": 0}
        dilated, eroded = cv2.dilate(np.uint8(mask), kernel), cv2.erode(np.uint8(mask), kernel, **border)
        assert np.array_equal(grow_masks(torch.from_numpy(mask), fraction).numpy(), dilated > 0)
        if eroded.any():
            assert np.array_equal(grow_masks(torch.from_numpy(mask), -fraction).numpy(), eroded > 0)


@given(silhouettes, st.sampled_from([-0.5, -0.3, 0.1, 0.3]))
@settings(max_examples=30, deadline=None)
def test_growing_commutes_with_flips(masks, fraction):
    masks = torch.from_numpy(masks)
    for axis in (-1, -2):
        assert torch.equal(grow_masks(masks.flip(axis), fraction), grow_masks(masks, fraction).flip(axis))


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (2, 3)])
@pytest.mark.parametrize("fraction", [-0.3, 0.3])
def test_masks_of_any_shape_grow(shape, fraction):
    assert grow_masks(torch.zeros(*shape, HEIGHT, WIDTH, dtype=torch.bool), fraction).shape == (*shape, HEIGHT, WIDTH)


@given(silhouettes, st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_a_mask_is_dilated_to_all_sides(masks, distance):
    kernel = np.ones((2 * distance + 1, 2 * distance + 1), np.uint8)
    expected = np.stack([cv2.dilate(np.uint8(mask), kernel) > 0 for mask in masks])
    assert np.array_equal(dilate_masks(torch.from_numpy(masks), distance).numpy(), expected)
