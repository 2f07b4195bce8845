import dataclasses

import pytest
import torch

from stal.errors import ConfigError
from stal.mixing.cuboid_mix import CuboidMix
from stal.structures import ClipBatch

FRAMES, HEIGHT, WIDTH = 8, 12, 16
WHOLE = [0.0, 0.0, float(WIDTH), float(HEIGHT)]


def two_clips(host_box=WHOLE, donor_box=WHOLE) -> ClipBatch:
    """Return two clips, each with one actor that has the same box on every frame."""
    boxes = tuple(torch.tensor(box).expand(1, FRAMES, 4).clone() for box in (host_box, donor_box))
    clips = torch.arange(2, dtype=torch.uint8).view(2, 1, 1, 1, 1).expand(2, 3, FRAMES, HEIGHT, WIDTH)
    valid = (torch.ones(1, FRAMES, dtype=torch.bool),) * 2
    labels = (torch.tensor([4]), torch.tensor([7]))
    return ClipBatch(clips.clone(), boxes, valid, labels, scenes=torch.tensor([30, 31]))


def mix(batch: ClipBatch, seed: int = 0, **options) -> ClipBatch:
    return CuboidMix(**{"probability": 1.0, **options})(batch, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", ["spatial", "temporal", "spatio_temporal"])
def test_what_comes_from_the_donor_is_a_cuboid_of_the_asked_kind(kind):
    shares = []
    for seed in range(60):
        taken = mix(two_clips(), seed, kind=kind).voxel_sources[0] == 1
        places = taken.nonzero()
        first, last = places.amin(dim=0), places.amax(dim=0)
        assert len(places) == (last - first + 1).prod()
        length = ((last - first + 1) / torch.tensor([FRAMES, HEIGHT, WIDTH])).tolist()
        if kind == "spatial":
            assert length[0] == 1
        if kind == "temporal":
            assert length[1:] == [1, 1]
        else:  # the frame's proportions, but for whole pixels
            assert abs(length[1] - length[2]) <= 0.5 / HEIGHT + 0.5 / WIDTH
        shares.append(length[0] * length[1] * length[2])
    assert min(shares) < 0.15 and max(shares) > 0.85  # uniform, at an alpha of 1
    assert 0.35 < sum(shares) / len(shares) < 0.65


def test_a_cuboid_may_be_at_either_end():
    taken = [mix(two_clips(), seed, kind="temporal").voxel_sources[0, :, 0, 0].tolist() for seed in range(60)]
    assert {(frames[0], frames[-1]) for frames in taken} >= {(0, 0), (0, 1), (1, 0)}


def test_a_large_alpha_mixes_half_and_half():
    shares = [(mix(two_clips(), seed, alpha=1000.0).voxel_sources[0] == 1).float().mean() for seed in range(10)]
    assert all(abs(float(share) - 0.5) < 0.1 for share in shares)


def test_an_actors_label_weighs_as_much_as_is_left_of_it():
    for seed in range(20):
        mixed = mix(two_clips(), seed, min_visible=0.0)
        for labels, weights, provenance in zip(mixed.labels, mixed.label_weights, mixed.provenance, strict=True):
            for row, weight in enumerate(weights.tolist()):
                assert weight == pytest.approx(float((provenance == row + 1).float().mean()), abs=1e-6)
            assert len(labels) == 1 or float(weights.sum()) == pytest.approx(1)


def test_frames_on_which_too_little_is_left_count_as_not_seen():
    batch = two_clips(host_box=[0.0, 0.0, 4.0, 4.0])
    for seed in range(30):
        mixed = mix(batch, seed, kind="spatial", min_visible=0.5)
        taken = (mixed.voxel_sources[0, 0, :4, :4] == 1).float().mean()
        weights = dict(zip(mixed.labels[0].tolist(), mixed.label_weights[0].tolist(), strict=True))
        assert weights.get(4, 0.0) == pytest.approx(float(1 - taken) if taken <= 0.5 else 0.0)


def test_weights_of_frames_add_up_in_time():
    batch = dataclasses.replace(two_clips(), valid=(torch.arange(FRAMES)[None] < 4, torch.ones(1, FRAMES).bool()))
    batch = dataclasses.replace(batch, boxes=(batch.boxes[0] * batch.valid[0][..., None], batch.boxes[1]))
    mixed = mix(batch, 3, kind="temporal")
    left = (mixed.voxel_sources[0, :4, 0, 0] == 0).float().mean()
    weights = dict(zip(mixed.labels[0].tolist(), mixed.label_weights[0].tolist(), strict=True))
    assert weights.get(4, 0.0) == pytest.approx(float(left))


def test_the_scene_is_that_of_most_voxels():
    for seed in range(100):
        mixed = mix(two_clips(), seed, kind=("spatial", "temporal", "spatio_temporal")[seed % 3], alpha=20.0)
        share = float((mixed.voxel_sources[0] == 1).float().mean())
        if share != 0.5:
            assert mixed.scenes[0] == (31 if share > 0.5 else 30)


def test_the_scene_of_a_clip_without_actors_is_taken_too():
    batch = two_clips()
    empty = dataclasses.replace(
        batch,
        boxes=(batch.boxes[0], torch.zeros(0, FRAMES, 4)),
        valid=(batch.valid[0], torch.zeros(0, FRAMES, dtype=torch.bool)),
        labels=(batch.labels[0], torch.zeros(0, dtype=torch.int64)),
    )
    assert (mix(empty).voxel_sources[0] == 1).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"probability": 1.5}, "probability is 1.5"),
        ({"min_visible": -0.1}, "min_visible is -0.1"),
        ({"alpha": 0.0}, "alpha is 0.0"),
    ],
)
def test_settings_out_of_range_are_an_error(options, message):
    with pytest.raises(ConfigError, match=message):
        CuboidMix(**options)


def test_another_kind_is_an_error():
    with pytest.raises((ConfigError, TypeError), match="sphere"):  # a TypeError where annotations are checked
        CuboidMix(kind="sphere")
