import json
from pathlib import Path

import pytest
import torch
from jaxtyping import TypeCheckError

from stal.data.scenes.generate import generate
from stal.engine.config import load_config
from stal.engine.runner import build_model
from stal.errors import ConfigError
from stal.seeing.gradient_scores import measure_gradient_scores
from stal.seeing.gradient_share import measure_gradient_share

CONFIG = str(Path(__file__).parents[2] / "configs" / "scenes_small_plain.py")


@pytest.fixture(scope="module")
def arguments(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("scenes")
    generate(folder, 4, splits=("iid", "shifted"), width=96, height=72)
    options = {"data.path": str(folder / "annotations.json")}
    torch.manual_seed(0)
    checkpoint = folder / "random.pth"
    torch.save({"state_dict": build_model(load_config(CONFIG, options)).state_dict()}, checkpoint)
    return {"config_path": CONFIG, "checkpoint": str(checkpoint), "options": options}


def test_scores_are_written_and_printed_beside_those_of_a_random_map(arguments, tmp_path, capsys):
    methods = ("input_gradient", "grad_cam_fast")
    found = measure_gradient_scores(**arguments, methods=methods, min_actors=3, work_dir=str(tmp_path), seed=1)
    assert json.loads((tmp_path / "gradient_scores.json").read_text()) == json.loads(json.dumps(found))
    assert list(found["methods"]) == [*methods, "random_map"]
    assert found["num_actors"] >= 3 and found["num_videos"] == 2 and found["set"] == "iid"
    for of_method in found["methods"].values():
        assert sum(of_class["num_actors"] for of_class in of_method["classes"].values()) == found["num_actors"]
        for mean in (score for name, score in of_method["all"].items() if name != "num_actors"):
            assert mean["interval"][0] - 1e-9 <= mean["value"] <= mean["interval"][1] + 1e-9
    gradient, random = (found["methods"][name]["all"] for name in ("input_gradient", "random_map"))
    share = measure_gradient_share(**arguments, min_actors=3, work_dir=str(tmp_path))
    assert gradient["inside_share"]["value"] == pytest.approx(share.inside_share)
    assert gradient["volume_share"] == random["volume_share"]
    assert gradient["volume_share"]["value"] == pytest.approx(share.volume_share)
    assert random["inside_share"]["value"] == pytest.approx(share.volume_share, rel=0.1)
    assert abs(random["random_weights_correlation"]["value"]) < 0.1
    printed = capsys.readouterr().out
    assert "grad_cam_fast" in printed and f"{100 * share.inside_share:.1f}" in printed


def test_another_set_has_a_file_of_its_own_and_no_row_depends_on_the_others(arguments, tmp_path):
    arguments = arguments | {"split": "shifted", "min_actors": 1, "work_dir": str(tmp_path)}
    found = measure_gradient_scores(**arguments)
    assert [path.name for path in tmp_path.glob("*.json")] == ["gradient_scores_shifted.json"]
    assert found["set"] == "shifted"
    more = measure_gradient_scores(**arguments, methods=("smoothgrad", "input_gradient"))
    assert more["methods"] == found["methods"] | {"smoothgrad": more["methods"]["smoothgrad"]}


@pytest.mark.parametrize("methods", [(), ("input_gradient", "lime")])
def test_unknown_methods_are_refused_before_anything_is_read(methods):
    with pytest.raises((ConfigError, TypeCheckError), match="methods"):  # the second where types are checked
        measure_gradient_scores("no_config.py", "none.pth", methods=methods)
