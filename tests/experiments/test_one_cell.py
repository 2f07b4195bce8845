"""What the process of a cell does before and after its training."""

import math
from pathlib import Path

import pytest

from stal.errors import ConfigError
from stal.experiments.cells import plan_cells
from stal.experiments.one_cell import CellJob, number_or_none, run_cell


@pytest.mark.parametrize(("value", "kept"), [(1.5, 1.5), (0.0, 0.0), (math.nan, None), (None, None)])
def test_what_is_not_defined_is_null(value, kept):
    assert number_or_none(value) == kept


def test_a_config_that_has_changed_since_the_cell_was_planned_is_refused(read, tmp_path):
    experiment = read()
    (plan,) = plan_cells(experiment, ["none/none/0"])
    changed = {**plan.recipe["config"], "protocol": "another"}
    job = CellJob(
        folder=tmp_path / "cell",
        config=experiment.config,
        options=plan.options,
        sets=experiment.sets,
        folders={"tiny": Path("nowhere")},
        gradient_set="iid",
        recipe={**plan.recipe, "config": changed},
        known={},
        keep_checkpoint=False,
    )
    with pytest.raises(ConfigError, match=r"scenes_small_plain\.py has changed since the experiment was started"):
        run_cell(job)
    assert not job.result.exists()
