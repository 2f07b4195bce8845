import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stal.ops.masks import box_masks, mask_boxes

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
