"""The bootstrap against evaluating test sets in which every video stands as often as it was drawn."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stal.data.detection_files import read_detections
from stal.errors import ConfigError
from stal.metrics import resampling
from stal.metrics.average_precision import MeanAveragePrecision, mean_average_precision
from stal.metrics.bootstrap import bootstrap, estimate_drop
from stal.metrics.class_mean import class_means
from stal.metrics.headlines import AVERAGED_THRESHOLDS, headline_values
from stal.metrics.overlaps import frame_overlaps, tube_overlaps
from stal.metrics.protocol import PROTOCOLS, TUBER, VOC, Protocol
from stal.metrics.resampling import draw_videos
from stal.metrics.tables import Tables, make_tables
from stal.structures import Detections, Tube, Video

NUM_CLASSES = 3
NUM_FRAMES = 5
AREAS = ("envelope", "trapezoid", "envelope_trapezoid", "eleven_points")
World = tuple[list[Video], dict[str, Detections], dict[str, list[Tube]]]


def random_boxes(random: np.random.Generator, num: int) -> np.ndarray:
    corner = random.integers(0, 3, (num, 2))
    return np.hstack([corner, corner + random.integers(2, 5, (num, 2))]).astype(np.float32)


def random_tube(random: np.random.Generator, id: int, score: float | None) -> Tube:
    frames = np.flatnonzero(random.random(NUM_FRAMES) < 0.7)
    frames = frames if len(frames) else np.array([0])
    return Tube(int(random.integers(2)), frames, random_boxes(random, len(frames)), id=id, score=score)


def random_world(seed: int) -> World:
    """A few videos with at most a few actors of two of three classes, and detections whose scores are full of ties."""
    random = np.random.default_rng(seed)
    scores = np.array([0.25, 0.5, 0.75])
    videos, detections, tubes = [], {}, {}
    for key in "abcd"[: random.integers(1, 5)]:
        actors = tuple(random_tube(random, k, None) for k in range(random.integers(0, 3)))
        videos.append(Video(key, Path(key), NUM_FRAMES, 8, 8, tubes=actors))
        # Detections of actors among them, or hardly any would hit.
        near = [Detections(a.frames, a.boxes, np.full(len(a), a.label), random.choice(scores, len(a))) for a in actors]
        num = int(random.integers(0, 8))
        astray = Detections(
            random.integers(0, NUM_FRAMES, num),
            random_boxes(random, num),
            random.integers(0, NUM_CLASSES, num),
            random.choice(scores, num),
        )
        detections[key] = Detections.concatenate([*near, astray])
        tubes[key] = [replace(a, score=float(random.choice(scores))) for a in actors if random.random() < 0.7]
        tubes[key] += [
            random_tube(random, k, float(random.choice(scores))) for k in range(9, 9 + random.integers(0, 4))
        ]
    return videos, detections, tubes


def tables_of(world: World) -> Tables:
    videos, detections, tubes = world
    return make_tables(videos, NUM_CLASSES, detections=detections, tubes=tubes)


def without_ties(world: World) -> World:
    """The same world, where scores say the order that equal ones have."""
    videos, detections, tubes = world
    scores = np.concatenate([detections[v.key].scores for v in videos])
    places = iter(np.argsort(np.argsort(-scores, kind="stable"), kind="stable"))
    detections = {
        v.key: replace(detections[v.key], scores=np.array([-float(next(places)) for _ in detections[v.key].scores]))
        for v in videos
    }
    scores = np.array([tube.score for v in videos for tube in tubes[v.key]])
    places = iter(np.argsort(np.argsort(-scores, kind="stable"), kind="stable"))
    tubes = {v.key: [replace(tube, score=-float(next(places))) for tube in tubes[v.key]] for v in videos}
    return videos, detections, tubes


def repeated(world: World, counts: np.ndarray) -> World:
    """A world in which every video stands so many times, each time under another key."""
    videos, detections, tubes = world
    copies = [(v, f"{v.key}{copy}") for v, count in zip(videos, counts, strict=True) for copy in range(int(count))]
    return (
        [replace(video, key=key) for video, key in copies],
        {key: detections[video.key] for video, key in copies},
        {key: tubes[video.key] for video, key in copies},
    )


def headline_metrics(tables: Tables, protocol: Protocol) -> dict[str, MeanAveragePrecision]:
    """The headline numbers of one test set, without counts."""
    num_classes, frame, video = tables.num_classes, protocol.frame, protocol.video
    metrics = {"frame_mAP@0.5": mean_average_precision(frame_overlaps(tables, frame), num_classes, frame, 0.5)}
    nothing = MeanAveragePrecision(np.full(num_classes, np.nan))
    at = dict.fromkeys((0.2, 0.5, 0.75, *AVERAGED_THRESHOLDS), nothing)
    if video is not None:
        at = {t: mean_average_precision(tube_overlaps(tables, video), num_classes, video, t) for t in at}
    metrics |= {f"video_mAP@{t}": at[t] for t in (0.2, 0.5, 0.75)}
    averaged = np.mean([at[t].per_class for t in AVERAGED_THRESHOLDS], axis=0)
    return metrics | {"video_mAP@0.5:0.95": MeanAveragePrecision(averaged)}


def with_area(protocol: Protocol, area: str) -> Protocol:
    video = protocol.video and replace(protocol.video, area=area)
    return replace(protocol, frame=replace(protocol.frame, area=area), video=video)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from(list(PROTOCOLS.values())), st.sampled_from((None, *AREAS)))
def test_every_draw_equals_an_evaluation_of_repeated_videos(seed: int, protocol: Protocol, area: str | None) -> None:
    world = random_world(seed)
    protocol = with_area(protocol, area) if area else protocol
    counts = draw_videos(len(world[0]), 3, seed)
    found = headline_values(tables_of(world), protocol, counts)
    for draw in range(counts.shape[1]):
        copied = tables_of(repeated(without_ties(world), counts[:, draw]))
        for name, expected in headline_metrics(copied, protocol).items():
            np.testing.assert_allclose(found[name][:, draw], expected.per_class, rtol=0, atol=1e-12, err_msg=name)
            mean = class_means(found[name])[draw]
            np.testing.assert_allclose(mean, expected.mean, rtol=0, atol=1e-12, err_msg=name)


def test_the_number_of_draws_computed_at_once_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = tables_of(random_world(1))
    counts = draw_videos(len(tables.num_frames), 7, 0)
    at_once = headline_values(tables, VOC, counts)
    monkeypatch.setattr(resampling, "_MAX_ELEMENTS", 1)
    for name, values in headline_values(tables, VOC, counts).items():
        np.testing.assert_allclose(values, at_once[name], rtol=0, atol=1e-12)


def test_a_draw_has_as_many_videos_as_the_test_set() -> None:
    counts = draw_videos(7, 50, 0)
    assert counts.shape == (7, 51)
    assert (counts[:, 0] == 1).all()
    assert (counts.sum(axis=0) == 7).all()
    assert counts.max() > 1


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_an_interval_holds_its_value_and_repeats_with_its_seed(seed: int) -> None:
    tables = tables_of(random_world(seed))
    estimates = bootstrap(tables, num_draws=20, seed=3)
    assert estimates == bootstrap(tables, num_draws=20, seed=3)
    points = headline_metrics(tables, VOC)
    for name, estimate in estimates.items():
        if estimate.value is None:
            assert np.isnan(points[name].mean)
            assert estimate.interval is None
            assert estimate.std is None
            continue
        assert estimate.value == pytest.approx(100 * points[name].mean, abs=1e-12)
        if len(tables.num_frames) == 1:
            continue
        low, high = estimate.interval
        assert 0 <= low <= estimate.value <= high <= 100
        assert estimate.std >= 0


def walker(key: str, hits: bool, score: float) -> tuple[Video, Detections]:
    """One actor on one frame, and one detection that hits or misses."""
    box = np.array([[0, 0, 4, 4]], np.float32)
    video = Video(key, Path(key), 1, 8, 8, tubes=(Tube(0, np.array([0]), box),))
    return video, Detections(np.array([0]), box if hits else box + 4, np.array([0]), np.array([score]))


def test_an_interval_is_that_of_the_percentiles_with_the_draws_mean_on_the_value() -> None:
    pairs = [walker(f"v{i}", i % 3 != 1, 1 / (1 + i)) for i in range(12)]
    tables = make_tables([v for v, _ in pairs], 1, detections={v.key: d for v, d in pairs})
    draws = 100 * headline_values(tables, VOC, draw_videos(12, 400, 5))["frame_mAP@0.5"][0]
    value, draws = draws[0], draws[1:]
    estimate = bootstrap(tables, num_draws=400, seed=5)["frame_mAP@0.5"]
    expected = np.quantile(draws, [0.025, 0.975]) - (draws.mean() - value)
    np.testing.assert_allclose(estimate.interval, expected, rtol=0, atol=1e-10)
    assert estimate.std == pytest.approx(draws.std(ddof=1))
    other_seed = bootstrap(tables, num_draws=400, seed=6)["frame_mAP@0.5"]
    assert other_seed.value == estimate.value
    assert other_seed.interval != estimate.interval


@pytest.mark.parametrize(("hits", "value"), [([True, True, True], 100.0), ([False, False], 0.0)])
def test_where_all_draws_are_equal_the_interval_is_the_value(hits: list[bool], value: float) -> None:
    pairs = [walker(f"v{i}", hit, 0.5) for i, hit in enumerate(hits)]
    tables = make_tables([v for v, _ in pairs], 1, detections={v.key: d for v, d in pairs})
    estimate = bootstrap(tables)["frame_mAP@0.5"]
    assert (estimate.value, estimate.interval, estimate.std) == (value, (value, value), 0.0)


def test_one_video_has_no_interval() -> None:
    for seed in range(5):
        world = random_world(seed)
        for estimate in bootstrap(tables_of((world[0][:1], {}, {})), num_draws=5).values():
            assert (estimate.interval, estimate.std) == (None, None)


def test_without_videos_nothing_is_defined() -> None:
    for estimate in bootstrap(make_tables([], 2), num_draws=10).values():
        assert asdict(estimate) == {"value": None, "interval": None, "std": None}


def test_draws_without_ground_truth_are_left_out() -> None:
    video, found = walker("v", True, 0.5)
    empty = replace(video, key="empty", tubes=())
    estimate = bootstrap(make_tables([video, empty], 1, detections={"v": found}), num_draws=50)["frame_mAP@0.5"]
    assert estimate.interval == (100.0, 100.0)


def test_a_protocol_without_video_map_gives_none() -> None:
    estimates = bootstrap(tables_of(random_world(1)), TUBER, num_draws=5)
    assert estimates["frame_mAP@0.5"].interval is not None
    assert {e.interval for name, e in estimates.items() if name.startswith("video")} == {None}


def test_estimates_can_be_written_as_json() -> None:
    estimates = bootstrap(tables_of(random_world(1)), num_draws=5)
    assert json.loads(json.dumps({name: asdict(e) for name, e in estimates.items()})).keys() == estimates.keys()


def test_a_negative_seed_is_an_error() -> None:
    with pytest.raises(ConfigError, match="seed -1 is negative"):
        bootstrap(make_tables([], 2), seed=-1)


def test_one_draw_is_an_error() -> None:
    with pytest.raises(ConfigError, match="1 bootstrap draws give no interval; draw at least 2"):
        bootstrap(make_tables([], 2), num_draws=1)


def test_the_interval_of_a_drop_is_that_of_all_pairs_of_draws() -> None:
    random = np.random.default_rng(0)
    first, second = np.append(0.8, random.normal(0.85, 0.03, 200)), np.append(0.3, random.normal(0.3, 0.04, 150))
    drop = estimate_drop(first, np.append(second, np.nan))
    assert drop.value == pytest.approx(50)
    pairs = np.array([a - b for a in first[1:] for b in second[1:]])
    expected = 100 * (np.quantile(pairs, [0.025, 0.975]) - (pairs.mean() - 0.5))
    np.testing.assert_allclose(drop.interval, expected, rtol=0, atol=1e-10)
    assert drop.std == pytest.approx(100 * pairs.std(), rel=0.01)
    risen = estimate_drop(second, first)
    assert risen.value == pytest.approx(-50)
    np.testing.assert_allclose(risen.interval, -expected[::-1], rtol=0, atol=1e-10)


def test_the_same_draws_of_two_sets_are_no_pairs() -> None:
    draws = np.append(0.5, np.random.default_rng(0).normal(0.5, 0.05, 300))
    drop = estimate_drop(draws, draws)
    assert drop.value == 0
    low, high = drop.interval
    assert (low, high) == (pytest.approx(-13.9, abs=2), pytest.approx(13.9, abs=2))  # 1.96 sqrt(2) 5 points


def test_the_interval_of_a_paired_drop_is_that_of_the_differences_of_draws() -> None:
    random = np.random.default_rng(0)
    hard = random.normal(0, 0.05, 300)
    first = np.append(0.8, 0.81 + hard)
    second = np.append(0.3, 0.28 + hard + random.normal(0, 0.01, 300))
    second[7] = first[5] = np.nan
    drop = estimate_drop(first, second, paired=True)
    differences = (first[1:] - second[1:])[~np.isnan(first[1:] - second[1:])]
    expected = 100 * (np.quantile(differences, [0.025, 0.975]) - (differences.mean() - 0.5))
    assert drop.value == pytest.approx(50)
    np.testing.assert_allclose(drop.interval, expected, rtol=0, atol=1e-10)
    assert drop.std == pytest.approx(100 * differences.std(ddof=1))
    apart = estimate_drop(first, second)
    assert np.ptp(drop.interval) < 0.3 * np.ptp(apart.interval)
    assert asdict(estimate_drop(first[:2], second[:2], paired=True)) == asdict(estimate_drop(first[:1], second[:1]))


@pytest.mark.parametrize(
    ("first", "second", "value"),
    [([0.5], [0.25], 25.0), ([np.nan, 0.5, 0.5], [0.2, 0.1, 0.2], None), ([0.5, 0.4, 0.6], [0.5, 0.3], 0.0)],
)
def test_without_draws_of_both_sets_a_drop_has_no_interval(first: list, second: list, value: float | None) -> None:
    assert asdict(estimate_drop(np.array(first), np.array(second))) == {"value": value, "interval": None, "std": None}


@pytest.mark.data
def test_spread_is_that_of_another_bootstrap(shared: Path) -> None:
    file = read_detections(shared / "oracles/oracle_medium.npz")
    classes, videos = file.annotations.classes, file.annotations.videos
    tables = make_tables(videos, len(classes), detections=file.detections, tubes=file.tubes, half_open=file.half_open)
    found = bootstrap(tables, num_draws=400)
    peer = json.loads((shared / "oracles/peers.json").read_text())["bootstrap_medium"]
    for name, expected in peer.items():
        estimate = found[name.replace("@", "_mAP@")]
        assert estimate.value == pytest.approx(expected["point"], abs=1e-9)
        assert estimate.std == pytest.approx(expected["std"], rel=0.15)  # theirs is of 200 draws: +- 5 %
