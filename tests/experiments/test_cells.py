from pathlib import Path

import pytest

from stal.errors import ConfigError
from stal.experiments.cells import Cell, plan_cells


def hashes(experiment) -> dict[str, str]:
    return {str(plan.cell): plan.hash for plan in plan_cells(experiment)}


def test_a_cell_of_two_grids_is_there_once(read):
    grid = {"title": "A", "mixers": "all", "penalties": ["none"], "seeds": 2}
    planned = plan_cells(read(grids=[grid, {**grid, "title": "B", "seeds": 3}]))
    names = ["none/none/0", "none/none/1", "BatchMix/none/0", "BatchMix/none/1", "none/none/2", "BatchMix/none/2"]
    assert [str(plan.cell) for plan in planned] == names


def test_a_cell_changes_what_its_mixer_penalty_and_seed_say(read):
    (plan,) = plan_cells(read(), ["BatchMix/lazy/1"])
    config = plan.recipe["config"]
    assert config["randomness"]["seed"] == 1
    assert config["model"]["data_preprocessor"]["mixer"]["probability"] == 0.5
    assert config["model"]["penalty"]["interval"] == 4
    assert config["train_cfg"]["max_epochs"] == 3
    assert config["data"]["path"] == "{tiny}/annotations.json"
    assert plan.cell.folder(Path("work")) == Path("work/BatchMix/lazy/seed_1")


def test_hashes_tell_cells_apart_and_do_not_depend_on_what_is_chosen(read):
    all_hashes = hashes(read())
    assert len(set(all_hashes.values())) == len(all_hashes) == 12
    (plan,) = plan_cells(read(), ["none/pgg/1"])
    assert plan.hash == all_hashes["none/pgg/1"]


@pytest.mark.parametrize(
    "changes",
    [
        {"options": {"data.path": "{tiny}/annotations.json", "train_dataloader.batch_size": 7}},
        {"data": {"tiny": "tools/make_scenes.py {out} --videos 9"}},
        {"sets": ["iid", "shifted", "anti"]},
        {"iid": "shifted"},  # on which the gradients are looked at
    ],
)
def test_what_numbers_depend_on_changes_every_hash(read, changes):
    before, after = hashes(read()), hashes(read(**changes))
    assert not set(before.values()) & set(after.values())


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "Another"},
        {"metrics": ["frame_mAP@0.5"]},
        {"options": {"data.path": "{tiny}/annotations.json", "log_level": "ERROR"}},
        {"options": {"data.path": "{tiny}/annotations.json", "progress": "plain", "validation.split": "iid"}},
    ],
)
def test_what_no_number_depends_on_changes_no_hash(read, changes):
    assert hashes(read()) == hashes(read(**changes))


def test_another_setting_of_a_penalty_changes_its_cells_alone(read):
    before = hashes(read())
    penalties = {"none": None, "pgg": {"type": "stal.losses.gradient_penalty.GradientPenalty", "weight": 0.2}}
    penalties["lazy"] = penalties["pgg"]
    after = hashes(read(penalties=penalties))
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {name for name in before if "/none/" not in name}


@pytest.mark.parametrize(
    ("only", "names"),
    [
        (["*/pgg/0"], ["none/pgg/0", "BatchMix/pgg/0"]),
        (["none/none/*", "*/lazy/1"], ["none/none/0", "none/none/1", "none/lazy/1", "BatchMix/lazy/1"]),
        (["BatchMix/pgg/1"], ["BatchMix/pgg/1"]),
    ],
)
def test_patterns_choose_cells(read, only, names):
    assert [str(plan.cell) for plan in plan_cells(read(), only)] == names


def test_a_pattern_without_a_cell_is_an_error(read):
    with pytest.raises(ConfigError, match=r"--only pgg: no cell matches; .* such as none/none/0"):
        plan_cells(read(), ["*", "pgg"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"options": {"train_cfg.epochs": 3}}, r"cell none/none/0: .*unknown key 'epochs'"),
        ({"mixers": {"none": {"mixer": None, "options": {"randomness.seed": 3}}}}, r"set by `seeds`"),
        (
            {"mixers": {"none": {"mixer": None, "options": {"train_cfg.max_epochs": 4}}}},
            r"cell none/lazy/0: both mixers\.none and penalties\.lazy set train_cfg\.max_epochs",
        ),
    ],
)
def test_options_that_do_not_fit_are_said_with_their_cell(read, changes, said):
    with pytest.raises(ConfigError, match=said):
        plan_cells(read(**changes))


def test_an_option_of_one_cell_goes_before_one_of_all(read):
    planned = plan_cells(read(options={"train_cfg.max_epochs": 9}))
    epochs = {plan.cell: plan.recipe["config"]["train_cfg"]["max_epochs"] for plan in planned}
    assert epochs[Cell("none", "lazy", 0)] == 3
    assert epochs[Cell("none", "pgg", 0)] == 9
