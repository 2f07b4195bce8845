import json
import os
import pickle
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stal.data.formats.whole_file import open_whole
from stal.data.video.stream import open_stream
from stal.engine.faults.lock import locked
from stal.errors import ConfigError, DeviceMemoryError
from stal.inference.detect_video import detect_video
from stal.inference.predict import run
from stal.inference.predict.launch import merge, predict
from stal.inference.predict.on_ray import RayWorker
from stal.inference.predict.results import ResultFolder
from stal.inference.predict.shards import Shard, videos_of_shard
from stal.inference.predict.videos import ListedVideo, list_videos

pytestmark = pytest.mark.usefixtures("stubbed")


def files_in(folder) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file() and path.parent.name != "locks"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def predict_all(settings, folder, shard=None) -> int:
    return predict(settings, list_videos([str(folder)]), shard=shard or Shard())


def test_every_video_has_a_result_or_a_reason(settings, videos_folder):
    assert predict_all(settings, videos_folder) == 2
    results = files_in(settings.out)
    assert results.keys() == {"run.json", "tubes/a.mp4.json", "failures/empty.mp4.json", "failures/sub/b.avi.json"}
    content = json.loads(results["tubes/a.mp4.json"])
    assert (content["video"], content["num_frames"]) == (str(videos_folder / "a.mp4"), 20)
    assert [(tube["label"], tube["frames"]) for tube in content["tubes"]] == [("squat", [0, 20])]
    failure = json.loads(results["failures/empty.mp4.json"])
    assert (failure["video"], failure["kind"]) == ("empty.mp4", "VideoReadError")
    assert "the file is empty" in failure["message"]


def test_what_is_done_is_not_done_again_and_what_failed_is_tried_again(
    settings, videos_folder, grey_video, monkeypatch
):
    predict_all(settings, videos_folder)
    seen = []
    monkeypatch.setattr(run, "open_stream", lambda path: seen.append(path.name) or open_stream(path))
    (videos_folder / "empty.mp4").write_bytes(grey_video.read_bytes())
    assert predict_all(settings, videos_folder) == 1
    assert sorted(seen) == ["b.avi", "empty.mp4"]
    assert "failures/empty.mp4.json" not in files_in(settings.out)
    (videos_folder / "sub" / "b.avi").unlink()
    assert predict_all(settings, videos_folder) == 0
    monkeypatch.setattr(run, "load_detector", None)  # nothing is left to do, and no network is built for it
    assert predict_all(settings, videos_folder) == 0


def test_shards_have_together_what_one_run_has(settings, videos_folder):
    predict_all(settings, videos_folder)
    parts = replace(settings, out=settings.out.with_name("parts"))
    assert sum(predict_all(parts, videos_folder, Shard(index, 3)) for index in range(3)) == 2
    assert files_in(parts.out) == files_in(settings.out)


def test_a_video_over_which_processes_end_is_left_out(settings, videos_folder, monkeypatch):
    class ProcessEndsError(Exception):
        """Stands for the end of the process: nothing of what is behind it happens."""

    def crash(path):
        if path.name == "empty.mp4":
            raise ProcessEndsError
        return open_stream(path)

    monkeypatch.setattr(run, "open_stream", crash)
    for _ in range(run.MAX_BEGINNINGS):
        with pytest.raises(ProcessEndsError):
            predict_all(settings, videos_folder)
    with pytest.raises(ConfigError, match="are not done yet"):
        merge(settings, list_videos([str(videos_folder)]))
    for _ in range(2):  # it stays left out
        assert predict_all(settings, videos_folder) == 2
        failure = json.loads((settings.out / "failures" / "empty.mp4.json").read_text())
        assert failure["kind"] == "ProcessDeath"
        assert "3 processes ended while they worked on it" in failure["message"]


@pytest.mark.parametrize(
    ("raised", "ends_with"),
    [(KeyboardInterrupt(), KeyboardInterrupt), (SystemExit(143), SystemExit), (ConfigError("full"), ConfigError),
     (torch.OutOfMemoryError("8 GB"), DeviceMemoryError)],
)  # fmt: skip
def test_what_ends_a_run_is_no_fault_of_a_video(settings, videos_folder, monkeypatch, raised, ends_with):
    def end(path):
        raise raised

    monkeypatch.setattr(run, "open_stream", end)
    for _ in range(run.MAX_BEGINNINGS + 1):
        with pytest.raises(ends_with):
            predict_all(settings, videos_folder)
    assert files_in(settings.out).keys() == {"run.json"}


def test_out_of_memory_says_what_to_lower(settings, videos_folder, monkeypatch):
    def end(path):
        raise torch.OutOfMemoryError("8 GB")

    monkeypatch.setattr(run, "open_stream", end)
    with pytest.raises(DeviceMemoryError, match=r"lower --batch-size \(3\)"):
        predict_all(settings, videos_folder)


def test_a_disk_that_is_full_ends_the_run(settings, videos_folder, monkeypatch):
    def full(path):
        with open_whole(path):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(run, "write_detected_tubes", lambda detected, path: full(path))
    with pytest.raises(ConfigError, match="No space left on device"):
        predict_all(settings, videos_folder)
    assert not list(settings.out.glob("tubes/*")) and not list(settings.out.rglob("a.mp4.json"))


def test_a_video_that_takes_too_long_fails(settings, videos_folder, monkeypatch):
    monkeypatch.setattr(run, "open_stream", lambda path: time.sleep(5))
    assert predict_all(replace(settings, max_minutes=0.1 / 60), videos_folder) == 3
    failure = json.loads((settings.out / "failures" / "a.mp4.json").read_text())
    assert "takes longer than 0.1 s; replace the file, leave it out, or raise --max-minutes" in failure["message"]


def test_videos_are_drawn_if_that_is_asked_for(settings, videos_folder):
    assert predict_all(replace(settings, draw=True, gradients=True), videos_folder) == 2
    names = files_in(settings.out).keys()
    assert {name for name in names if name.startswith(("tubes", "drawn"))} == {"tubes/a.mp4.json", "drawn/a.mp4.mp4"}
    assert open_stream(settings.out / "drawn" / "a.mp4.mp4").num_frames == 20


def test_progress_counts_what_was_done_before(settings, videos_folder, capsys):
    videos = list_videos([str(videos_folder)])
    predict(settings, videos, shard=Shard())
    assert "predict  3/3 (100%)" in capsys.readouterr().err
    predict(settings, videos, shard=Shard())
    err = capsys.readouterr().err
    assert "3/3 (100%)" in err and "failed 2" in err


def test_one_run_at_a_time_predicts_a_shard(settings, videos_folder):
    with locked(settings.out / "locks" / "0_of_2", "this"):
        with pytest.raises(ConfigError, match=r"the prediction into .*out, shard 0/2, is run by process \d+ on"):
            predict_all(settings, videos_folder, Shard(0, 2))
        predict_all(settings, videos_folder, Shard(1, 2))
    done = videos_of_shard(list_videos([str(videos_folder)]), Shard(1, 2))
    results = ResultFolder(settings.out)
    assert all(results.is_done(video) or results.find_failure(video) for video in done)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"min_score": 2.0}, "--min-score 2.0: scores are from 0 to 1"),
        ({"gradients": True}, "add --draw"),
        ({"max_minutes": 0.0}, "--max-minutes 0.0: must be above 0"),
    ],
)
def test_settings_that_cannot_be_are_said(settings, changes, said):
    with pytest.raises(ConfigError, match=said):
        replace(settings, **changes)


def move(folder, name):
    """Give a folder with the same videos in another place."""
    shutil.copytree(folder, folder.with_name(name))
    return folder.with_name(name)


def test_a_video_of_the_same_key_in_another_folder_has_no_result(settings, videos_folder):
    predict_all(settings, videos_folder)
    others, before = move(videos_folder, "others"), files_in(settings.out)
    told = rf"is the result of {videos_folder}/a.mp4, and {others}/a.mp4 would have the same"
    for use in (predict_all, lambda *arguments: merge(arguments[0], list_videos([str(arguments[1])]))):
        with pytest.raises(ConfigError, match=told):
            use(settings, others)
    assert files_in(settings.out) == before


def test_a_failure_of_another_video_is_none_of_this_one(settings, videos_folder):
    predict_all(settings, videos_folder)
    others = move(videos_folder, "others")
    (others / "a.mp4").unlink()
    with pytest.raises(ConfigError, match=r"2 of 2 videos are not done yet \(empty.mp4, sub/b.avi\)"):
        merge(settings, list_videos([str(others)]))


def test_names_of_any_length_and_bytes_have_results(settings, videos_folder):
    for content, letter in ((b"", b"x"), ((videos_folder / "a.mp4").read_bytes(), b"\xe9")):
        with open(os.fsencode(videos_folder) + b"/" + letter * 251 + b".mp4", "wb") as file:
            file.write(content)
    assert predict_all(replace(settings, draw=True), videos_folder) == 3
    assert len(list(settings.out.glob("failures/xxx*"))) == 1
    assert len(list((settings.out / "tubes").iterdir())) == 2
    merged = merge(replace(settings, draw=True), list_videos([str(videos_folder)]))
    assert (merged.num_done, merged.num_failed) == (2, 3)


def test_proposals_are_those_of_the_path_and_of_the_bare_name_where_no_other_has_it(
    settings, videos_folder, stub_detector, monkeypatch
):
    for name in ("cam1/a.mp4", "cam2/a.mp4", "cam1/c.mp4"):
        (videos_folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(videos_folder / "a.mp4", videos_folder / name)
    asked = {}

    def detect(stream, detector, *arguments, video_key, **options):
        asked[str(stream.path.relative_to(videos_folder))] = video_key
        return detect_video(stream, detector, *arguments, video_key=video_key, **options)

    monkeypatch.setattr(run, "detect_video", detect)
    knows = replace(stub_detector, proposed_videos={"cam1/a", "a", "c"})
    monkeypatch.setattr(run, "load_detector", lambda *arguments, **options: knows)
    predict_all(settings, videos_folder)
    # The file would have to list cam2/a, which is refused where boxes are asked for.
    assert asked == {"a.mp4": "a", "cam1/a.mp4": "cam1/a", "cam2/a.mp4": "cam2/a", "cam1/c.mp4": "c"}


def test_weights_that_change_while_they_are_read_end_the_run(settings, videos_folder, tmp_path, monkeypatch):
    path = tmp_path / "weights.pth"
    shutil.copy(settings.checkpoint, path)

    def load(*arguments, **options):
        path.write_bytes(b"others")

    monkeypatch.setattr(run, "load_detector", load)
    with pytest.raises(ConfigError, match="with another checkpoint "):
        predict_all(replace(settings, checkpoint=str(path)), videos_folder)
    assert not (settings.out / "tubes").exists()


def test_a_process_that_was_killed_after_its_result_leaves_nothing_behind(settings, videos_folder):
    predict_all(settings, videos_folder)
    expected, results = files_in(settings.out), ResultFolder(settings.out)
    done = list_videos([str(videos_folder)])[0]
    results.begin_video(done)
    results.write_failure(done, "VideoReadError", "once")
    assert predict_all(settings, videos_folder) == 2
    assert files_in(settings.out) == expected


def test_what_is_interrupted_keeps_its_earlier_deaths(settings, videos_folder, monkeypatch):
    results, videos = ResultFolder(settings.out), list_videos([str(videos_folder)])
    for video in videos:
        results.begin_video(video)

    def interrupt(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "open_stream", interrupt)
    with pytest.raises(KeyboardInterrupt):
        predict_all(settings, videos_folder)
    assert [results.num_begun(video) for video in videos] == [1, 1, 1]


def test_a_run_that_ends_takes_back_what_it_began_and_nothing_else(tmp_path):
    results = ResultFolder(tmp_path)
    twice, once, others, left_out = (ListedVideo(f"v/{number}.mp4", Path("/v"), 0) for number in range(4))
    results.begin_video(twice, "other")
    results.begin_video(twice, "this")
    results.begin_video(once, "this")
    results.begin_video(others, "other")
    results.begin_video(left_out, "this")
    results.leave_out(left_out)
    results.take_back_run("this")
    assert [results.num_begun(video) for video in (twice, once, others, left_out)] == [1, 0, 1, 1]


def test_a_worker_on_ray_returns_what_ends_the_run(settings, videos_folder, monkeypatch):
    batches = [{"video": np.array([pickle.dumps(video)], object)} for video in list_videos([str(videos_folder)])]
    ResultFolder(settings.out).begin(settings.recipe())
    worker = RayWorker(settings, "run")
    assert [worker(batch)["is_done"].tolist() for batch in batches] == [[True], [False], [False]]
    (settings.out / "tubes" / "a.mp4.json").unlink()

    def end(path):
        raise ConfigError("full")

    monkeypatch.setattr(run, "open_stream", end)
    errors = [worker(batch)["error"][0] for batch in batches]
    monkeypatch.setattr(run, "open_stream", None)  # nothing is begun after an error
    errors += [worker(batch)["error"][0] for batch in batches]
    assert {(type(error), str(error)) for error in map(pickle.loads, errors)} == {(ConfigError, "full")}
    assert not list((settings.out / "begun").rglob("*.txt"))
