import json
from pathlib import Path

import pytest

from stal.data.scenes import generate
from stal.errors import ConfigError
from stal.profiling.benchmark import benchmark

CONFIG = str(Path(__file__).parents[2] / "configs" / "scenes_small_plain.py")
SMALL = {
    "train_dataloader.batch_size": 2,
    "model.detector.backbone.width": 4,
    "model.detector.backbone.channel_ratio": 2,
}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    generate(folder, 4, splits=("train",), width=96, height=72)
    return folder


@pytest.mark.slow
def test_every_part_is_measured_against_the_bare_network(scenes, tmp_path, capsys):
    out = tmp_path / "benchmark.json"
    options = {**SMALL, "data.path": str(scenes / "annotations.json"), "work_dir": str(tmp_path)}
    found = benchmark(CONFIG, device="cpu", num_repeats=1, options=options, out=str(out))
    assert json.loads(out.read_text()) == found
    train, detect = found["train"], found["detect"]
    assert list(train) == ["bare network", "plain", "+ mixing", "+ penalty"]
    assert list(detect) == ["bare network, forward", "detection"]
    assert train["bare network"]["ratio"] == detect["bare network, forward"]["ratio"] == 1
    assert 0 < train["bare network"]["flops"] < train["plain"]["flops"] < train["+ penalty"]["flops"]
    assert train["plain"]["flops"] == train["+ mixing"]["flops"]
    for row in (*train.values(), *detect.values()):
        assert row["clips_per_second"] == pytest.approx(2 / row["seconds"])
        assert 0 < sum(row["parts"].values()) <= 1
        assert row["peak_bytes"] is None
    assert min(found["loader"]["clips_per_second"], found["loader"]["end_to_end_clips_per_second"]) > 0
    assert 0 < found["loader"]["data_time_share"] < 1
    said = capsys.readouterr().out
    assert "+ penalty" in said and "read and trained on" in said


@pytest.mark.slow
def test_without_its_data_the_rest_is_measured(tmp_path, capsys):
    options = {**SMALL, "data.path": str(tmp_path / "missing.json"), "work_dir": str(tmp_path)}
    found = benchmark(CONFIG, device="cpu", num_repeats=1, options=options)
    assert "missing.json" in found["loader"]["not_measured"]
    assert "the loader was not measured" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"num_repeats": 0}, "0 repeats"),
        ({"num_actors": 0}, "0 actors"),
        ({"device": "cuda"}, "sees no GPU here"),
        ({"device": "gpu"}, "--device gpu: .*cpu, cuda or cuda:1"),
    ],
)
def test_what_cannot_be_is_said(monkeypatch, arguments, said):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match=said):
        benchmark(CONFIG, **arguments)
