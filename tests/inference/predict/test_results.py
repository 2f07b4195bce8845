"""What makes results those of one run, and how they are merged."""

import json
import os
import shutil
from dataclasses import replace

import pytest
import torch

from stal.errors import CheckpointError, ConfigError
from stal.inference.predict.launch import merge, predict
from stal.inference.predict.results import ResultFolder
from stal.inference.predict.shards import Shard
from stal.inference.predict.videos import list_videos

pytestmark = pytest.mark.usefixtures("stubbed")


def files_in(folder) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file() and path.parent.name != "locks"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def predict_all(settings, folder, shard=None) -> int:
    return predict(settings, list_videos([str(folder)]), shard=shard or Shard())


def test_results_are_merged_in_the_order_of_the_videos(settings, videos_folder, grey_video):
    (videos_folder / "sub" / "c.mp4").write_bytes(grey_video.read_bytes())
    predict_all(settings, videos_folder)
    others = list_videos([str(videos_folder / "sub")])  # which have other names here
    with pytest.raises(ConfigError, match=r"2 of 2 videos are not done yet \(b.avi, c.mp4\)"):
        merge(settings, others)
    assert not (settings.out / "tubes.jsonl").exists()
    merged = merge(settings, list_videos([str(videos_folder)]))
    assert (merged.num_done, merged.num_failed) == (2, 2)
    lines = (settings.out / "tubes.jsonl").read_text().splitlines()
    assert [json.loads(line)["video"] for line in lines] == [
        str(videos_folder / name) for name in ("a.mp4", "sub/c.mp4")
    ]
    failures = (settings.out / "failures.jsonl").read_text().splitlines()
    assert [json.loads(line)["video"] for line in failures] == ["empty.mp4", "sub/b.avi"]


@pytest.mark.parametrize("content", [b"", b'{"format": "stal-detected-tubes", "vers', b'{"format": "other"}\n'])
def test_a_result_that_is_broken_is_not_merged(settings, videos_folder, content):
    predict_all(settings, videos_folder)
    (settings.out / "tubes" / "a.mp4.json").write_bytes(content)
    with pytest.raises(ConfigError, match=r"a.mp4.json is broken; delete it"):
        merge(settings, list_videos([str(videos_folder)]))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"min_score": 0.5}, "min_score"),
        ({"step": 3}, "step"),
        ({"options": {"linking": "online"}}, "linking"),
        ({"options": {"model.detector.min_score": 0.5}}, "model"),
        ({"draw": True}, "draw"),
    ],
)
def test_results_of_another_run_are_not_taken_for_ones(settings, videos_folder, changes, named):
    predict_all(settings, videos_folder)
    before = files_in(settings.out)
    for use in (predict_all, lambda *arguments: merge(arguments[0], list_videos([str(arguments[1])]))):
        with pytest.raises(ConfigError, match=f"holds results of another run, with another {named} "):
            use(replace(settings, **changes), videos_folder)
    assert files_in(settings.out) == before


def test_results_of_another_checkpoint_are_not_taken_for_ones(settings, videos_folder, tmp_path):
    predict_all(settings, videos_folder)
    weights = torch.load(settings.checkpoint, weights_only=True)
    next(iter(weights["state_dict"].values())).view(-1)[0] += 1
    torch.save(weights, tmp_path / "other.pth")
    with pytest.raises(ConfigError, match="with another checkpoint "):
        predict_all(replace(settings, checkpoint=str(tmp_path / "other.pth")), videos_folder)
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        predict_all(replace(settings, checkpoint=str(tmp_path / "gone.pth")), videos_folder)


@pytest.mark.parametrize("changes", [{"device": None}, {"batch_size": 1}, {"max_minutes": 9.0}])
def test_how_it_is_computed_makes_no_other_run(settings, videos_folder, changes):
    predict_all(settings, videos_folder)
    assert predict_all(replace(settings, **changes), videos_folder) == 2


def test_a_folder_of_nothing_has_nothing_to_merge(settings, videos_folder):
    with pytest.raises(ConfigError, match=r"holds no predictions \(no run.json\)"):
        merge(settings, list_videos([str(videos_folder)]))


def test_a_work_directory_stands_for_the_checkpoint_that_was_its_last_as_the_run_began(settings, tmp_path):
    work_dir = tmp_path / "work_dir"
    work_dir.mkdir()
    shutil.copy(settings.checkpoint, work_dir / "epoch_1.pth")
    (work_dir / "last_checkpoint").write_text(str(work_dir / "epoch_1.pth"))
    taken = replace(settings, checkpoint=str(work_dir))
    shutil.copy(settings.checkpoint, work_dir / "epoch_2.pth")
    (work_dir / "last_checkpoint").write_text(str(work_dir / "epoch_2.pth"))
    assert taken.checkpoint == str(work_dir / "epoch_1.pth")


@pytest.mark.parametrize("has_links", [True, False])
def test_of_runs_that_begin_at_once_the_first_says_what_it_is(tmp_path, monkeypatch, has_links):
    results, link = ResultFolder(tmp_path), os.link

    def be_late(source, target):
        if not has_links:
            raise PermissionError(1, "Operation not permitted")
        (tmp_path / "run.json").write_text('{"step": 1}')
        link(source, target)

    monkeypatch.setattr(os, "link", be_late)
    if has_links:
        with pytest.raises(ConfigError, match="with another step "):
            results.begin({"step": 2})
    else:
        results.begin({"step": 2})
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_a_proposals_file_is_part_of_the_run(settings, tmp_path):
    path = tmp_path / "people.npz"
    path.write_bytes(b"one")
    first = replace(settings, proposals=str(path)).recipe()
    path.write_bytes(b"two")
    assert replace(settings, proposals=str(path)).recipe() != first
    with pytest.raises(ConfigError, match=r"gone.npz: cannot be read"):
        replace(settings, proposals=str(tmp_path / "gone.npz")).recipe()
