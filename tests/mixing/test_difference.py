import cv2
import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stal.errors import ShapeError
from stal.mixing.difference import changed_voxels, otsu_threshold

SIZE = (4, 12, 16)
SEEDS = st.integers(0, 1_000_000)


def cv2_otsu(levels: np.ndarray) -> float:
    """Return Otsu's threshold of an image of bytes, as OpenCV finds it."""
    threshold, _ = cv2.threshold(levels.reshape(1, -1), 0, 255, cv2.THRESH_OTSU)
    return threshold


def edit(seed: int, num_clips: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return clips of bytes, the same clips much changed in a box and a little everywhere, and the box."""
    rng = np.random.default_rng(seed)
    original = rng.integers(0, 100, (num_clips, 3, *SIZE))
    box = np.zeros(SIZE, bool)
    box[:, 2:9, 3:12] = True
    edited = original + rng.integers(0, 20, original.shape) + box * rng.integers(60, 130, original.shape)
    return torch.from_numpy(np.uint8(original)), torch.from_numpy(np.uint8(edited)), torch.from_numpy(box)


@given(hnp.arrays(np.uint8, (6, 8)) | hnp.arrays(np.uint8, (6, 8), elements=st.sampled_from([0, 3, 200, 255])))
def test_the_threshold_is_opencvs(levels):
    histogram = torch.bincount(torch.from_numpy(levels).flatten().long(), minlength=256)
    below = levels <= int(otsu_threshold(histogram[None]))
    if levels.min() < levels.max():  # two thresholds may be equally good, up to rounding
        variances = [split_variance(levels, side) for side in (below, levels <= cv2_otsu(levels))]
        assert variances[0] == pytest.approx(variances[1], rel=1e-6)


def split_variance(levels: np.ndarray, below: np.ndarray) -> float:
    """Return the variance between the two classes of levels."""
    return below.mean() * (~below).mean() * (levels[below].mean() - levels[~below].mean()) ** 2


@pytest.mark.parametrize(
    ("histogram", "threshold"),
    [
        ([9, 0, 0, 1], 0),  # the first of equals
        ([5, 1, 0, 4], 1),
        ([0, 4, 0, 0, 4], 1),
        ([1, 1, 1, 1], 1),
        ([0, 0, 7, 0], 0),  # a single level has no split
        ([0, 0, 0, 0], 0),
    ],
)
def test_the_threshold_of_small_histograms(histogram, threshold):
    assert otsu_threshold(torch.tensor([histogram])).tolist() == [threshold]


@given(SEEDS, st.floats(0.1, 60))
@settings(max_examples=30, deadline=None)
def test_the_changed_voxels_are_over_opencvs_threshold_of_the_difference(seed, std):
    original, edited, _ = edit(seed)
    changed = changed_voxels((original.float() - 114) / std, (edited.float() - 114) / std)
    assert changed.shape == (2, *SIZE) and changed.dtype == torch.bool
    for before, after, found in zip(original, edited, changed, strict=True):
        difference = np.abs(before.numpy().astype(float) - after.numpy()).mean(axis=0)
        levels = np.uint8(np.round(difference / difference.max() * 255))
        expected = levels > cv2_otsu(levels)
        assert (found.numpy() != expected).sum() <= (np.abs(levels.astype(int) - cv2_otsu(levels)) <= 1).sum()
        assert torch.equal(changed_voxels(before[None], after[None])[0], torch.from_numpy(expected))


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_a_strong_change_is_found_under_a_weak_one_in_each_clip_by_itself(seed):
    original, edited, box = edit(seed)
    changed = changed_voxels(original, edited)
    assert torch.equal(changed, box.expand_as(changed))
    faint = torch.stack([edited[0].float(), original[1] + 0.01 * (edited[1].float() - original[1])])
    assert torch.equal(changed_voxels(original.float(), faint), changed)


def test_changes_follow_a_flip_and_the_order_of_the_pair_does_not_count():
    original, edited, _ = edit(0)
    changed = changed_voxels(original, edited)
    assert torch.equal(changed_voxels(original.flip(-1), edited.flip(-1)), changed.flip(-1))
    assert torch.equal(changed_voxels(edited, original), changed)


def test_no_gradient_goes_through_what_was_changed():
    original, edited, _ = edit(0)
    assert not changed_voxels(original.float(), edited.float().requires_grad_()).requires_grad


def test_no_clips_have_no_changes():
    assert changed_voxels(*edit(0, num_clips=0)[:2]).shape == (0, *SIZE)


def test_identical_pairs_are_refused():
    original, edited, _ = edit(0)
    with pytest.raises(ShapeError, match=r"pair 1 of 2: the edited clip equals its original.*before the edit"):
        changed_voxels(original, torch.stack([edited[0], original[1]]))


def test_clips_of_two_shapes_are_refused():
    original, edited, _ = edit(0)
    with pytest.raises((ShapeError, TypeError), match=r"differ in shape|edited"):  # the second where types are checked
        changed_voxels(original, edited[..., 1:])
