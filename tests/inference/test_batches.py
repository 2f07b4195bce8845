import pytest
import torch

from stal.errors import DeviceMemoryError
from stal.inference.batches import FittingBatches


class Device:
    """Has memory for so many items, and doubles them."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.sizes: list[int] = []

    def __call__(self, batch: list[int]) -> list[int]:
        self.sizes.append(len(batch))
        if len(batch) > self.capacity:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [2 * item for item in batch]


@pytest.mark.parametrize(
    ("num_items", "capacity", "sizes", "size_at_end"),
    [
        (0, 8, [], 8),
        (1, 8, [1], 8),
        (8, 8, [8], 8),
        (9, 8, [8, 1], 8),
        (8, 7, [8, 4, 4], 4),
        (8, 3, [8, 4, 2, 2, 2, 2], 2),
        (7, 3, [7, 3, 3, 1], 3),
        (20, 1, [8, 4, 2, *[1] * 20], 1),
    ],
)
def test_a_batch_that_does_not_fit_is_done_in_halves_and_so_are_all_after_it(num_items, capacity, sizes, size_at_end):
    batches, device = FittingBatches(8), Device(capacity)
    assert list(batches.map(device, range(num_items))) == [2 * item for item in range(num_items)]
    assert device.sizes == sizes
    assert batches.size == size_at_end


def test_one_item_that_does_not_fit_ends_with_advice():
    with pytest.raises(DeviceMemoryError, match=r"not enough memory for one clip.*CUDA out of memory"):
        list(FittingBatches(4).map(Device(0), range(4)))


def test_what_a_failed_batch_allocated_is_free_before_the_next_attempt():
    alive = []

    class Tensor:
        def __init__(self) -> None:
            alive.append(self)

        def __del__(self) -> None:
            freed.append(True)

    freed: list[bool] = []

    def work(batch: list[int]) -> list[int]:
        if len(batch) > 1:
            held = Tensor()
            alive.clear()
            raise torch.OutOfMemoryError(f"while {held} was held")
        assert freed
        return batch

    assert list(FittingBatches(2).map(work, [1, 2])) == [1, 2]


def test_other_errors_are_not_of_the_memory():
    def work(batch: list[int]) -> list[int]:
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        list(FittingBatches(4).map(work, range(4)))


def test_no_more_than_a_batch_of_items_is_held():
    taken = []

    def items():
        for item in range(9):
            taken.append(item)
            yield item

    results = FittingBatches(3).map(Device(3), items())
    next(results)
    assert len(taken) == 3
