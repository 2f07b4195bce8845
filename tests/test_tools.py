"""The command lines, on a tiny generated data set: train, resume, test, look; and what they say to bad input."""

import json
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from stal.commands.command_line import run
from stal.data.detection_files import write_detections
from stal.data.formats.tubes_json import read_tubes_json
from stal.data.scenes import generate
from stal.engine.entry import measure_scene_shift
from stal.engine.entry import test as run_test
from stal.engine.entry import train as run_train
from stal.errors import ConfigError
from stal.seeing.gradients import draw_gradient_tubes
from stal.seeing.tube_source import TubeChoice, VideoChoice
from stal.structures import Tube

ROOT = Path(__file__).parents[1]
CONFIG = str(ROOT / "configs" / "scenes_batchmix_pgg.py")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    generate(folder, 8, splits=("train", "iid"), width=96, height=72)
    return folder


def options(scenes: Path, **changes) -> dict:
    """Settings that make the config as small as it gets."""
    small = {
        "data.path": str(scenes / "annotations.json"),
        "train_dataloader.num_workers": 0,
        "train_dataloader.batch_size": 4,
        "test_dataloader.num_workers": 0,
        "train_dataloader.dataset.num_frames_clip": 8,
        "test_dataloader.dataset.num_frames_clip": 8,
        "train_dataloader.dataset.transform.size": (48, 64),
        "test_dataloader.dataset.transform.size": (48, 64),
        "model.detector.backbone.width": 8,
        "model.detector.num_samples": 4,
        "train_cfg.max_epochs": 1,
        "param_scheduler.0.total_steps": 2,
    }
    return {**small, **changes}


def as_flags(settings: dict) -> list[str]:
    return [f"{key}={value}".replace(" ", "") for key, value in settings.items()]


def tool(name: str, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "tools" / f"{name}.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)


@pytest.fixture(scope="module")
def trained(scenes, tmp_path_factory) -> Path:
    """The work directory of one epoch by the command line, and of a second one that resumes it."""
    work_dir = tmp_path_factory.mktemp("work_dir")
    flags = ["--work-dir", str(work_dir), "--progress", "plain", "--tensorboard"]
    done = tool("train", CONFIG, *flags, "--cfg-options", *as_flags(options(scenes)))
    assert done.returncode == 0, done.stderr
    assert "train, epoch 1/1  2/2 (100%)" in done.stderr
    assert list(work_dir.glob("*/vis_data/events.out.tfevents.*"))
    run_train(CONFIG, work_dir=str(work_dir), resume=True, options=options(scenes, **{"train_cfg.max_epochs": 2}))
    return work_dir


@pytest.mark.slow
def test_training_resumes_where_it_stopped(trained):
    (scalars, more) = sorted(trained.glob("*/vis_data/scalars.json"))
    assert (trained / "epoch_2.pth").is_file()
    assert torch.load(trained / "epoch_2.pth", weights_only=True)["meta"]["iter"] == 4
    assert {json.loads(line)["epoch"] for line in scalars.read_text().splitlines()} <= {1}
    assert {json.loads(line)["epoch"] for line in more.read_text().splitlines()} <= {2}


@pytest.mark.slow
def test_a_test_writes_metrics_and_a_dump(trained, scenes, tmp_path):
    flags = ["--work-dir", str(tmp_path), "--dump", str(tmp_path / "detections.npz")]
    done = tool("test", CONFIG, str(trained), *flags, "--cfg-options", *as_flags(options(scenes)))
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    names = ["frame_mAP@0.5", "video_mAP@0.2", "video_mAP@0.5", "video_mAP@0.75", "video_mAP@0.5:0.95"]
    assert set(names) <= set(metrics)
    assert metrics["num_videos"] == 4
    assert metrics["protocol"]["name"] == "voc"
    assert len(metrics["per_class"]) == 9
    assert {"config_digest", "commit", "versions", "machine", "data"} <= set(metrics["origin"])
    assert (tmp_path / "detections.npz").is_file()
    assert "protocol voc" in done.stdout


@pytest.mark.slow
def test_several_sets_are_tested_as_each_alone_and_compared(trained, scenes, tmp_path):
    generate(tmp_path / "swap", 3, splits=("iid",), seed=7, width=96, height=72)
    settings = options(scenes, **{"model.proposals": "ground_truth", "model.detector.min_score": 1e-6})
    together, sets = tmp_path / "together", ["iid", str(tmp_path / "swap")]
    flags = ["--work-dir", str(together), "--dump", str(tmp_path / "dump.npz"), "--split", *sets]
    done = tool("test", CONFIG, str(trained), *flags, "--cfg-options", *as_flags(settings))
    assert done.returncode == 0, done.stderr
    assert "drop from iid" in done.stdout
    assert {path.name for path in tmp_path.glob("*.npz")} == {"dump_iid.npz", "dump_swap.npz"}

    shift = json.loads((together / "scene_shift.json").read_text())
    assert shift["first"] == "iid"
    assert shift["origin"]["sets"] == {"iid": "iid", "swap": sets[1]}
    for name, given in zip(("iid", "swap"), sets, strict=True):
        returned = run_test(CONFIG, str(trained), work_dir=str(tmp_path / "alone"), split=given, options=settings)
        of_set = json.loads((together / f"metrics_{name}.json").read_text())
        alone = tmp_path / "alone" / ("metrics.json" if name == "iid" else "metrics_swap.json")
        assert json.loads(alone.read_text()) == of_set
        assert of_set["origin"]["split"] == given
        assert {metric: of_set[metric] for metric in returned} == returned
        for metric in ("frame_mAP@0.5", "actor_accuracy"):
            assert shift["sets"][name][metric]["value"] == of_set[metric]
    values = [shift["sets"][name]["actor_accuracy"]["value"] for name in ("iid", "swap")]
    assert shift["drops"]["swap"]["actor_accuracy"]["value"] == pytest.approx(values[0] - values[1])


@pytest.mark.slow
def test_headlines_of_several_sets_need_no_draws(trained, scenes, tmp_path):
    settings = {"options": options(scenes), "headlines_only": True}
    metrics = measure_scene_shift(CONFIG, str(trained), ["iid", "train"], work_dir=str(tmp_path), **settings)
    assert list(metrics) == ["iid", "train"]
    for name, of_set in metrics.items():
        written = json.loads((tmp_path / f"metrics_{name}.json").read_text())
        assert not {"intervals", "frames", "tubes"} & written.keys()
        assert {metric: written[metric] for metric in of_set} == of_set
        assert {"frame_mAP@0.5", "actor_accuracy"} <= set(of_set)
    shift = json.loads((tmp_path / "scene_shift.json").read_text())
    assert shift["drops"]["train"]["actor_accuracy"]["interval"] is None


@pytest.mark.slow
def test_two_processes_give_the_files_of_one_to_the_last_bit(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # sums depend on how many threads share them
    generate(tmp_path, 3, splits=("iid",), width=96, height=72)
    # an untrained network's scores are low, and the more of them there are, the more can differ
    settings = as_flags(options(tmp_path, **{"model.detector.min_score": 1e-6, "test_dataloader.batch_size": 3}))
    written = {}
    for launch in ([], ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]):
        work_dir = tmp_path / f"work_{len(launch)}"
        flags = [
            "--work-dir",
            str(work_dir),
            "--dump",
            str(work_dir / "dump.npz"),
            "--link",
            "act",
            "--protocol",
            "act",
        ]
        flags += ["--launcher", "pytorch"] if launch else []
        command = [sys.executable, *launch, str(ROOT / "tools" / "test.py"), CONFIG, str(trained), *flags]
        command += ["--cfg-options", *settings]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)
        assert done.returncode == 0, done.stderr
        with np.load(work_dir / "dump.npz") as dump:
            arrays = {name: array.tobytes() for name, array in dump.items()}
        written[len(launch)] = ((work_dir / "metrics.json").read_bytes(), arrays)
    alone, together = written.values()
    assert together == alone
    metrics = json.loads(alone[0])
    assert metrics["protocol"]["name"] == "act"
    assert "ActLinking" in metrics["origin"]["linker"]
    assert metrics["num_detections"] > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("video", "tube", "origin"),
    [
        (VideoChoice(index=1), TubeChoice(), "surest of "),
        (VideoChoice(path="videos/iid/00001.mp4"), TubeChoice(), "surest of "),
        (VideoChoice(index=1, split="train"), TubeChoice(ground_truth=0), "ground truth"),
    ],
)
def test_gradient_tubes_are_drawn_for_the_data_set_and_for_any_video(trained, scenes, tmp_path, video, tube, origin):
    if video.path is not None:
        video = VideoChoice(path=str(scenes / video.path))
    # an untrained network's scores are low
    settings = options(scenes, **{"model.detector.min_score": 1e-6})
    files = draw_gradient_tubes(CONFIG, str(trained), video=video, tube=tube, out=str(tmp_path), options=settings)
    assert files.keys() == {"mp4", "png", "json"}
    source = scenes / "videos" / (video.split or "iid") / "00001.mp4"
    with av.open(str(files["mp4"])) as drawn, av.open(str(source)) as given:
        assert len(list(drawn.decode(video=0))) == len(list(given.decode(video=0)))
    shares = json.loads(files["json"].read_text())
    assert shares["tube"].startswith(origin)
    assert (shares["method"], shares["pathway"]) == ("input_gradient", "both")
    assert shares["windows"]
    for window, following in zip(shares["windows"], [*shares["windows"][1:], None], strict=True):
        assert 0 <= window["gradient_energy_in_box"] <= 1
        assert 0 < window["box_share_of_clip"] < 1
        assert following is None or window["frames"][1] < following["frames"][0]


@pytest.mark.slow
def test_a_detection_of_a_file_is_drawn_as_asked_for(trained, scenes, tmp_path):
    annotations = read_tubes_json(scenes / "annotations.json").of_split("iid")
    truth = annotations.videos[0].tubes[0]
    boxes = truth.boxes[:20].copy()
    tubes = [Tube(label, truth.frames[:20], boxes, score=score) for label, score in ((2, 0.9), (4, 0.8), (4, 0.7))]
    write_detections(tmp_path / "found.npz", annotations, {}, {annotations.videos[0].key: tubes})
    flags = ["--work-dir", str(tmp_path), "--detections", str(tmp_path / "found.npz"), "--rank", "1"]
    flags += ["--class", annotations.classes[4], "--method", "gradient_x_input", "--pathway", "fast", "--signed"]
    flags += ["--kinds", "gif", "tube", "npz"]
    done = tool("visualize_gradients", CONFIG, str(trained), *flags, "--cfg-options", *as_flags(options(scenes)))
    assert done.returncode == 0, done.stderr
    name = annotations.videos[0].key.replace("/", "_")
    written = {path.name for path in (tmp_path / "gradients").iterdir()}
    assert written == {f"{name}{suffix}" for suffix in (".gif", "_space.png", ".npz", ".json")}
    assert all(str(tmp_path / "gradients" / file) in done.stdout for file in written)
    with np.load(tmp_path / "gradients" / f"{name}.npz") as arrays:
        assert (arrays["method"], arrays["pathway"]) == ("gradient_x_input", "fast")
        assert arrays["action"] == annotations.classes[4]
        assert arrays["volume"].min() < 0
    assert json.loads((tmp_path / "gradients" / f"{name}.json").read_text())["tube"] == "no. 2 of 2 detections"


@pytest.mark.parametrize("tube", [TubeChoice(ground_truth=0), TubeChoice(detections="found.npz")])
def test_a_video_of_ones_own_has_no_annotation_and_no_detections(scenes, tube):
    video = VideoChoice(path=str(scenes / "videos" / "iid" / "00001.mp4"))
    with pytest.raises(ConfigError, match="neither annotated nor in a file of detections"):
        draw_gradient_tubes(CONFIG, "none.pth", video=video, tube=tube, options=options(scenes))


def test_a_checkpoint_without_classes_cannot_name_what_it_sees_in_a_video(scenes, tmp_path, capsys):
    torch.save({"state_dict": {}, "meta": {}}, tmp_path / "bare.pth")
    video = VideoChoice(path=str(scenes / "videos" / "iid" / "00001.mp4"))
    with pytest.raises(SystemExit) as stopped:
        run(lambda: draw_gradient_tubes(CONFIG, str(tmp_path / "bare.pth"), video=video, options=options(scenes)))
    assert stopped.value.code == 1
    assert "bare.pth does not name its classes" in capsys.readouterr().err


def broken(scenes: Path, folder: Path, what: str) -> Path:
    """Copy the data set with one thing wrong, and return its annotations."""
    annotations = json.loads((scenes / "annotations.json").read_text())
    for video in annotations["videos"]:
        video["path"] = str(scenes / video["path"])
        video["masks"] = None
    first = next(video for video in annotations["videos"] if video["split"] == "train")
    annotations["videos"] = [first, *(video for video in annotations["videos"] if video["split"] == "iid")]
    source, copy = Path(first["path"]), folder / "copy.mp4"
    if what == "missing":
        first["path"] = str(folder / "nowhere.mp4")
    elif what == "zero bytes":
        copy.touch()
        first["path"] = str(copy)
    elif what == "truncated":
        copy.write_bytes(source.read_bytes()[:-3000])
        first["path"] = str(copy)
    elif what == "beyond the end":
        first["num_frames"] += 20
        tube = first["tubes"][0]
        tube["frames"][-1][1] += 20
        tube["boxes"] += [tube["boxes"][-1]] * 20
    elif what == "unknown class":
        first["tubes"][0]["label"] = "juggle"
    (folder / "annotations.json").write_text(json.dumps(annotations))
    return folder


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("missing", ["nowhere.mp4"]),
        ("zero bytes", ["copy.mp4"]),
        ("truncated", ["copy.mp4"]),
        ("beyond the end", ["00000.mp4", "frames"]),
        ("unknown class", ["annotations.json", "juggle", "wave"]),
    ],
)
@pytest.mark.parametrize("num_workers", [0, 1])
def test_broken_data_end_training_with_one_readable_error(scenes, tmp_path, capsys, what, said, num_workers):
    folder = broken(scenes, tmp_path, what)
    changes = {"train_dataloader.num_workers": num_workers, "train_dataloader.batch_size": 1}
    settings = options(folder, **changes)
    with pytest.raises(SystemExit) as stopped:
        run(lambda: run_train(CONFIG, work_dir=str(tmp_path / "work"), options=settings))
    assert stopped.value.code == 1
    message = capsys.readouterr().err.split("error: ")[-1]
    assert all(part in message for part in said)
    assert "Traceback" not in message


@pytest.mark.slow
def test_a_training_replaces_a_bad_video_and_names_it_at_its_end(scenes, tmp_path):
    annotations = json.loads((scenes / "annotations.json").read_text())
    train = [video for video in annotations["videos"] if video["split"] == "train"]
    for video in annotations["videos"]:
        video["path"], video["masks"] = str(scenes / video["path"]), None
    train[1]["path"] = str(tmp_path / "broken.mp4")
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    (tmp_path / "annotations.json").write_text(json.dumps(annotations))
    work_dir = tmp_path / "work"
    settings = {"train_dataloader.num_workers": 1, "train_dataloader.dataset.max_bad_share": 0.2}
    flags = as_flags(options(tmp_path, **settings))
    done = tool("train", CONFIG, "--work-dir", str(work_dir), "--cfg-options", *flags)
    assert done.returncode == 0, done.stderr
    (line,) = (work_dir / "bad_samples.jsonl").read_text().splitlines()
    assert json.loads(line)["path"] == str(tmp_path / "broken.mp4")
    assert f"could not be read, and others took their place; they are named in {work_dir}" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"link": "viterbo"}, "'viterbo' is not known; known are default"), ({"protocol": "vox"}, "'vox' is not known")],
)
def test_an_unknown_linker_or_protocol_is_said_before_testing(scenes, tmp_path, wrong, said):
    with pytest.raises(ConfigError, match=said):
        run_test(CONFIG, "none.pth", work_dir=str(tmp_path), options=options(scenes), **wrong)


def test_a_misspelt_key_is_an_error_with_a_suggestion(tmp_path):
    config = tmp_path / "typo.py"
    config.write_text((ROOT / "configs" / "_base_" / "scenes.py").read_text() + "\ntrain_dataloadr = dict()\n")
    done = tool("train", str(config))
    assert done.returncode == 1
    assert "train_dataloadr" in done.stderr
    assert "did you mean 'train_dataloader'" in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_data_are_said_before_anything_heavy_is_imported():
    command = [sys.executable, "-X", "importtime", "tools/train.py", "configs/ucf24_batchmix_pgg.py"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
    error = done.stderr[done.stderr.index("error: ") :]
    assert done.returncode == 1
    assert "data/ucf24" in error
    assert "data/README.md" in error
    assert "pytorchvideo" not in done.stderr
    assert "torchvision" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model.detector.backbone.width": 16}, "of another shape"),
        ({"model.detector.regressor.channels": 32}, "of another shape"),
        ({"model.detector.backbone.depth": 50}, "missing"),
    ],
)
def test_a_checkpoint_of_another_model_is_refused(trained, scenes, tmp_path, capsys, changes, said):
    with pytest.raises(SystemExit) as stopped:
        run(lambda: run_test(CONFIG, str(trained), work_dir=str(tmp_path), options=options(scenes, **changes)))
    assert stopped.value.code == 1
    message = capsys.readouterr().err.split("error: ")[-1]
    assert "epoch_2.pth is of another model" in message
    assert said in message


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "tools").glob("*.py")))
def test_every_tool_explains_itself(name):
    done = tool(name, "--help")
    assert done.returncode == 0
    assert "example" in done.stdout.lower()
