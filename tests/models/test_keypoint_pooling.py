"""The keypoint network: what it does not depend on, its pools, and second derivatives."""

from collections.abc import Iterator

import jaxtyping
import pytest
import torch

from stal.errors import ConfigError, ShapeError
from stal.models.keypoint_pooling import KeypointPooling, largest

FRAMES, PERSONS = 3, 4


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Leave the checks of arguments to what takes them."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def network(**arguments: object) -> KeypointPooling:
    torch.manual_seed(0)
    return KeypointPooling(**({"num_classes": 5, "num_frames": FRAMES, "channels": 8} | arguments))  # type: ignore[arg-type]


def clips(batch: int = 2, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return points and where they are; the last person of the last clip has none."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(batch, 3, FRAMES, PERSONS, 17, generator=generator)
    there = torch.rand(batch, FRAMES, PERSONS, 17, generator=generator) > 0.4
    there[-1, :, -1] = False
    return points, there


@torch.no_grad()
def test_the_order_of_persons_does_not_matter() -> None:
    net, (points, there) = network(), clips()
    order = torch.tensor([2, 0, 3, 1])
    persons, moved = net(points, there), net(points[:, :, :, order], there[:, :, order])
    torch.testing.assert_close(moved.values, persons.values[:, order])
    torch.testing.assert_close(net.pool(moved), net.pool(persons))


@torch.no_grad()
def test_the_order_of_joints_does_not_matter_as_long_as_each_keeps_its_name() -> None:
    net, (points, there) = network(), clips()
    before = net(points, there).values
    order = torch.randperm(17, generator=torch.Generator().manual_seed(1))
    net.which_joint.copy_(net.which_joint[order])
    torch.testing.assert_close(net(points[..., order], there[..., order]).values, before)


@torch.no_grad()
def test_the_order_of_frames_does_not_matter_as_long_as_each_keeps_its_time() -> None:
    net, (points, there) = network(), clips()
    before = net(points, there).values
    order = torch.tensor([1, 2, 0])
    net.which_frame.copy_(net.which_frame[:, order])
    torch.testing.assert_close(net(points[:, :, order], there[:, order]).values, before)


@torch.no_grad()
def test_a_joint_is_told_from_another_and_a_frame_from_another() -> None:
    net, (points, there) = network(), clips()
    before = net(points, there).values
    assert not torch.allclose(net(points.flip(-1), there.flip(-1)).values, before)
    assert not torch.allclose(net(points.flip(2), there.flip(1)).values, before)


@torch.no_grad()
def test_joints_that_are_not_there_places_and_other_clips_change_nothing() -> None:
    net, (points, there) = network(), clips()
    before = net(points, there)
    moved = torch.where(there[:, None], points, 1e3)
    torch.testing.assert_close(net(moved, there).values, before.values)
    more = torch.cat([points, torch.randn(2, 3, FRAMES, 2, 17)], 3), torch.cat([there, there[:, :, :2] & False], 2)
    with_places = net(*more)
    torch.testing.assert_close(with_places.values[:, :PERSONS], before.values)
    torch.testing.assert_close(net.pool(with_places), net.pool(before))
    torch.testing.assert_close(net(points[:1], there[:1]).values, before.values[:1])


@torch.no_grad()
def test_nobody_has_features_of_zero() -> None:
    net, (points, there) = network(), clips()
    persons = net(points, there)
    assert persons.there.tolist() == [[True] * 4, [True] * 3 + [False]]
    assert not persons.values[1, 3].any()
    empty = net(points, there & False)
    assert not net.pool(empty).any()
    assert net(points[:, :, :, :0], there[:, :, :0]).values.shape == (2, 0, 8)
    assert net.predict(points[:, :, :, :0], there[:, :, :0]).shape == (2, 0, 5)


def test_the_test_pool_is_switched() -> None:
    points, there = clips()
    own, of_clip = network().predict(points, there), network(test_pool="clip").predict(points, there)
    net = network()
    with torch.no_grad():
        persons = net(points, there)
        torch.testing.assert_close(own, net.classify(persons.values).sigmoid())
        torch.testing.assert_close(of_clip, net.classify(net.pool(persons)).sigmoid()[:, None].expand(-1, 4, -1))
    assert not torch.allclose(own[:, 0], own[:, 1])
    alone = network(test_pool="clip").predict(points[:, :, :, :1], there[:, :, :1])
    torch.testing.assert_close(alone, own[:, :1])  # one person is the clip


@pytest.mark.parametrize(
    ("values", "there", "expected"),
    [
        ([[1.0], [3.0]], [True, True], [3.0]),
        ([[1.0], [3.0]], [True, False], [1.0]),
        ([[-1.0], [-3.0]], [True, True], [-1.0]),
        ([[1.0], [3.0]], [False, False], [0.0]),
        (torch.zeros(0, 1).tolist(), [], [0.0]),
    ],
)
def test_largest(values: list, there: list, expected: list) -> None:
    found = largest(torch.tensor(values).reshape(-1, 1), torch.tensor(there, dtype=torch.bool))
    assert found.tolist() == expected


def test_the_network_is_differentiable_twice() -> None:
    net, (points, there) = network(num_classes=2, channels=3).double(), clips(1)

    def scores(cloud: torch.Tensor) -> torch.Tensor:
        return net.classify(net.pool(net(cloud, there[:, :1, :2]))).sum(1)

    net.num_frames, net.which_frame = 1, torch.nn.Parameter(net.which_frame[:, :1])
    cloud = points[:, :, :1, :2].double().requires_grad_()
    assert torch.autograd.gradcheck(scores, (cloud,), fast_mode=True)
    assert torch.autograd.gradgradcheck(scores, (cloud,), fast_mode=True)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"train_pool": "roi"}, "train_pool = 'roi' is neither 'person' nor 'clip'"),
        ({"test_pool": "all"}, "test_pool = 'all'"),
        ({"channels": 0}, "channels = 0 must be at least 1"),
    ],
)
def test_what_cannot_be_is_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        network(**arguments)


def test_clips_of_another_length_are_refused() -> None:
    points, there = clips()
    with pytest.raises(
        ShapeError, match=r"clips of 2 frames and 17 joints.*num_frames = 3.*model\.detector\.num_frames"
    ):
        network()(points[:, :, :2], there[:, :2])
