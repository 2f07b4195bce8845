"""What a data set of clips does with videos that cannot be read, or not wholly."""

import json
import signal
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from stal.data import clips
from stal.data.video.reader import readable_frames, video_facts
from stal.errors import AnnotationError, BadDataError, DataNotFoundError, VideoReadError
from stal.structures import Annotations, Clip, Tube, Video

HEIGHT, WIDTH, NUM_FRAMES = 16, 32, 24


def identity(clip: Clip, generator: np.random.Generator) -> Clip:
    return clip


def make_video(key: str, path: Path | None = None, frames: range = range(NUM_FRAMES)) -> Video:
    boxes = np.tile(np.float32([1, 1, 8, 9]), (len(frames), 1))
    tube = Tube(0, np.array(frames), boxes)
    return Video(key, path or Path(f"{key}.avi"), NUM_FRAMES, HEIGHT, WIDTH, tubes=(tube,))


def dataset_of(*videos: Video, training=True, **options) -> clips.ClipDataset:
    annotations = Annotations(("run",), videos)
    return clips.ClipDataset(annotations, 4, 1, identity, training=training, **{"max_bad_share": 1.0} | options)


def videos_named(names: str) -> list[Video]:
    return [make_video(name) for name in names]


ERRORS = {
    "b": VideoReadError("b.avi: broken"),
    "m": DataNotFoundError("m.avi: not there"),
    "w": AnnotationError("w: no"),
}


@pytest.fixture(autouse=True)
def reads(monkeypatch) -> None:
    """Replace the decoder of videos that have no file: those of `ERRORS` cannot be read, h hangs."""
    decode = clips.read_frames

    def read_frames(path, indices, **options):
        if path.exists():
            return decode(path, indices, **options)
        if path.stem == "h":
            time.sleep(10)
        if path.stem in ERRORS:
            raise ERRORS[path.stem]
        return np.broadcast_to(np.uint8(indices)[:, None, None, None], (len(indices), HEIGHT, WIDTH, 3)).copy()

    monkeypatch.setattr(clips, "read_frames", read_frames)
    damage_of = clips.damage_of
    monkeypatch.setattr(clips, "damage_of", lambda path, length: damage_of(path, length) if path.exists() else None)


def drawn(dataset: clips.ClipDataset, seed: int = 0) -> list[tuple[str, list[int]]]:
    samples = [dataset[position, seed] for position in range(len(dataset))]
    return [(clip.video_key, clip.frame_indices.tolist()) for clip in samples]


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("balance", ["video", "tube", "class"])
@pytest.mark.parametrize("bad", ["b", "m", "w"])
def test_a_bad_sample_is_replaced_and_all_others_stay_as_they_were(bad, balance):
    sound = drawn(dataset_of(*videos_named("acde"), clips_per_video=5, balance=balance))
    found = drawn(dataset_of(*videos_named(f"ac{bad}e"), clips_per_video=5, balance=balance))
    assert [key for key, _ in sound] == sorted("acde" * 5)
    assert found[:10] + found[15:] == sound[:10] + sound[15:]
    replaced = [key for key, _ in found[10:15]]
    assert set(replaced) <= {"a", "c", "e"}
    assert len(set(replaced)) > 1


def test_what_replaces_a_sample_follows_from_its_position_and_seeds():
    dataset, again, other = (dataset_of(*videos_named("abcde"), clips_per_video=5, seed=s) for s in (1, 1, 2))
    assert drawn(dataset) == drawn(again)
    assert drawn(dataset)[5:10] != drawn(other)[5:10]
    assert drawn(dataset)[5:10] != drawn(dataset, seed=9)[5:10]


def test_a_replacement_that_is_bad_too_is_replaced():
    dataset = dataset_of(*videos_named("abmw"), clips_per_video=4)
    assert {key for key, _ in drawn(dataset)} == {"a"}
    assert dataset.ledger.num_bad >= 12
    assert dataset.ledger.num_samples == dataset.ledger.num_bad + 16


def test_the_ledger_names_the_sample_the_error_and_what_replaced_it(tmp_path):
    ledger = tmp_path / "bad_samples.jsonl"
    dataset = dataset_of(*videos_named("ab"), ledger=ledger)
    assert dataset[1, 77].video_key == "a"
    assert dataset[0].video_key == "a"
    (line,) = lines_of(ledger)
    assert 0 <= line.pop("keyframe") < NUM_FRAMES
    assert line.pop("time")
    assert line == {
        "kind": "VideoReadError",
        "message": "b.avi: broken",
        "video": "b",
        "path": "b.avi",
        "position": 1,
        "sample_seed": 77,
        "attempt": 1,
        "replacement": "a",
    }


def test_workers_replace_the_same_samples_and_count_together(tmp_path):
    def epoch(num_workers: int) -> tuple[list[torch.Tensor], list[tuple], int]:
        ledger = tmp_path / f"{num_workers}.jsonl"
        dataset = dataset_of(*videos_named("abcmdw"), clips_per_video=4, ledger=ledger)
        context = "fork" if num_workers else None  # so that workers see the replaced decoder
        loader = DataLoader(
            dataset, 2, collate_fn=clips.collate_clips, num_workers=num_workers, multiprocessing_context=context
        )
        frames = [clip.frames for batch in loader for clip in batch]
        lines = sorted((line["position"], line["attempt"], line["replacement"]) for line in lines_of(ledger))
        assert dataset.ledger.num_bad == len(lines)
        assert dataset.ledger.num_samples == len(lines) + 24
        return frames, lines, dataset.ledger.num_bad

    (frames, lines, _), (frames_alone, lines_alone, _) = epoch(2), epoch(0)
    assert all(torch.equal(a, b) for a, b in zip(frames, frames_alone, strict=True))
    assert lines == lines_alone


@pytest.mark.parametrize("num_workers", [0, 2])
def test_training_stops_when_too_many_are_bad(tmp_path, num_workers):
    dataset = dataset_of(*videos_named("abcd"), clips_per_video=50, max_bad_share=0.1, ledger=tmp_path / "bad.jsonl")
    context = "fork" if num_workers else None
    loader = DataLoader(
        dataset, 2, collate_fn=clips.collate_clips, num_workers=num_workers, multiprocessing_context=context
    )
    with pytest.raises(BadDataError, match=r"max_bad_share = 0\.1 .*bad\.jsonl.*b\.avi: broken"):
        list(loader)


def test_without_tolerance_the_first_bad_sample_stops_training():
    dataset = dataset_of(*videos_named("ab"), max_bad_share=0.0)
    assert dataset[0].video_key == "a"
    with pytest.raises(BadDataError, match="1 of 2 training samples"):
        dataset[1]


@pytest.mark.parametrize(("names", "num_tried"), [("b", 1), ("bm", 2), ("bmw", 3)])
def test_a_data_set_of_bad_videos_stops_once_each_was_tried(names, num_tried):
    dataset = dataset_of(*videos_named(names))
    with pytest.raises(BadDataError, match=f"no video is left .*: {num_tried} were tried"):
        dataset[0]
    assert dataset.ledger.num_bad == num_tried


def test_many_bad_videos_stop_training_at_the_first_sample(monkeypatch):
    videos = [make_video(f"b{number}") for number in range(500)]
    monkeypatch.setattr(clips, "read_frames", lambda path, *_, **__: (_ for _ in ()).throw(VideoReadError(f"{path}")))
    dataset = dataset_of(*videos, max_bad_share=0.01)
    with pytest.raises(BadDataError, match="11 of 11 training samples"):
        dataset[0]


@pytest.mark.parametrize(("name", "error"), [(name, type(error)) for name, error in ERRORS.items()])
def test_in_testing_nothing_is_replaced(name, error, tmp_path):
    dataset = dataset_of(*videos_named(f"a{name}"), training=False, ledger=tmp_path / "bad.jsonl")
    with pytest.raises(error):
        dataset[len(dataset) - 1]
    assert not (tmp_path / "bad.jsonl").exists()


def test_a_read_that_takes_too_long_is_a_bad_sample(tmp_path):
    ledger = tmp_path / "bad.jsonl"
    dataset = dataset_of(*videos_named("ah"), read_timeout_seconds=0.1, ledger=ledger)
    start = time.monotonic()
    assert dataset[1].video_key == "a"
    assert time.monotonic() - start < 5
    (line,) = lines_of(ledger)
    assert line["video"] == "h"
    assert "0.1 s" in line["message"]
    with pytest.raises(VideoReadError, match=r"h\.avi: .*longer than 0\.1 s"):
        dataset_of(*videos_named("h"), training=False, read_timeout_seconds=0.1)[0]


@pytest.fixture
def cut_video(tmp_path) -> Path:
    """A folder of frames that ends before its last annotated frame; frame i is i bright."""
    folder = tmp_path / "cut"
    folder.mkdir()
    for index in range(15):
        cv2.imwrite(str(folder / f"{index:05}.png"), np.full((HEIGHT, WIDTH, 3), index, np.uint8))
    return folder


def test_a_damaged_video_is_bad_unless_it_is_to_be_kept(cut_video):
    with pytest.raises(BadDataError, match=r"15 frames decode, but 24 are annotated"):
        dataset_of(make_video("cut", cut_video))[0]


def test_training_takes_clips_of_the_part_of_a_damaged_video_that_is_there(cut_video, tmp_path):
    ledger = tmp_path / "bad.jsonl"
    dataset = dataset_of(make_video("cut", cut_video), damaged="keep", clips_per_video=30, ledger=ledger)
    clips_drawn = [dataset[position] for position in range(30)]
    num_readable = readable_frames(cut_video, NUM_FRAMES)
    assert 10 < num_readable <= 15
    assert {int(clip.frame_indices[2]) for clip in clips_drawn} <= set(range(num_readable))
    assert max(int(clip.frame_indices.max()) for clip in clips_drawn) == num_readable - 1
    assert all(clip.valid.all() for clip in clips_drawn)
    (line,) = lines_of(ledger)
    assert (line["kind"], line["video"], line["path"]) == ("damaged", "cut", str(cut_video))
    assert "24" in line["message"]
    assert dataset.ledger.num_bad == 0


def test_a_damaged_video_whose_boxes_are_all_in_the_lost_part_is_bad(cut_video):
    with pytest.raises(BadDataError, match=r"only 1\d of 24 frames can be read, and no box"):
        dataset_of(make_video("cut", cut_video, range(16, 20)), damaged="keep")[0]


def test_testing_holds_the_last_frame_of_a_damaged_video_and_covers_it_all(cut_video, tmp_path):
    ledger = tmp_path / "bad.jsonl"
    dataset = dataset_of(make_video("cut", cut_video), damaged="keep", training=False, ledger=ledger)
    found = list(dataset)
    assert [clip.frame_indices[0].item() for clip in found] == [0, 4, 8, 12, 16, 20]
    last = readable_frames(cut_video, NUM_FRAMES) - 1
    shown = np.concatenate([clip.frames[0, :, 0, 0].numpy() for clip in found])
    assert shown.tolist() == [min(frame, last) for frame in range(NUM_FRAMES)]
    assert [line["kind"] for line in lines_of(ledger)] == ["damaged"]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("damaged", ["error", "keep"])
def test_a_damaged_video_that_is_read_is_named_once_however_damage_is_taken(cut_video, tmp_path, damaged, training):
    for index in range(15, NUM_FRAMES - 1):  # all but the last, for which the one before stands in
        cv2.imwrite(str(cut_video / f"{index:05}.png"), np.full((HEIGHT, WIDTH, 3), index, np.uint8))
    ledger = tmp_path / "bad.jsonl"
    dataset = dataset_of(make_video("cut", cut_video), damaged=damaged, training=training, ledger=ledger)
    for _ in range(2):
        drawn(dataset)
    (line,) = lines_of(ledger)
    assert (line["kind"], line["video"], line["path"]) == ("damaged", "cut", str(cut_video))
    assert "of 24 annotated frames the first 23 are readable" in line["message"]
    assert dataset.ledger.num_bad == 0
    assert dataset.ledger.flags.tolist() == [[0, 1]]


def test_the_ledger_is_written_outside_of_the_time_limit(cut_video, tmp_path, monkeypatch):
    for index in range(15, NUM_FRAMES - 1):
        cv2.imwrite(str(cut_video / f"{index:05}.png"), np.full((HEIGHT, WIDTH, 3), index, np.uint8))
    for training in (True, False):
        dataset = dataset_of(make_video("cut", cut_video), training=training, read_timeout_seconds=5.0)
        alarms = []
        monkeypatch.setattr(
            dataset.ledger, "write", lambda alarms=alarms, **_: alarms.append(signal.getitimer(signal.ITIMER_REAL))
        )
        dataset[0]
        assert alarms == [(0.0, 0.0)]


def test_a_video_of_which_a_clip_can_be_read_gives_it_whether_it_is_cached_or_not(tmp_path):
    folder = tmp_path / "holed"
    folder.mkdir()
    for index in range(NUM_FRAMES):
        cv2.imwrite(str(folder / f"{index:05}.png"), np.full((HEIGHT, WIDTH, 3), index, np.uint8))
    (folder / "00017.png").write_bytes(b"")
    videos = [make_video("holed", folder), make_video("a")]
    found = [
        drawn(dataset_of(*videos, clips_per_video=20, cache_bytes=size, ledger=tmp_path / "bad.jsonl"))
        for size in (0, 2**13, 2**30)
    ]
    assert found[0] == found[1] == found[2]
    assert {"a", "holed"} == {key for key, _ in found[0][:20]}


@pytest.mark.data
@pytest.mark.parametrize("damaged", ["error", "keep"])
def test_a_real_video_with_broken_frames_is_used_and_named(shared, tmp_path, damaged):
    path = shared / "media/torture/corrupt_mid_real.avi"
    facts = video_facts(path)
    tube = Tube(0, np.arange(facts.num_frames), np.tile(np.float32([1, 1, 8, 9]), (facts.num_frames, 1)))
    video = Video("real", path, facts.num_frames, facts.height, facts.width, tubes=(tube,))
    dataset = dataset_of(video, damaged=damaged, ledger=tmp_path / "bad.jsonl", clips_per_video=3)
    assert len(drawn(dataset)) == 3
    (line,) = lines_of(tmp_path / "bad.jsonl")
    assert (line["kind"], line["message"][:37]) == ("damaged", "37 of its 140 frames are damaged, data"[:37])
