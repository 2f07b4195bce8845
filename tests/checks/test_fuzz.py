"""No value at any place of an annotation file stops a check with anything but an error of stal."""

import copy
import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stal.checks.check import check_data, data_of_json
from stal.checks.outputs import print_report, write_report
from stal.errors import StalError

texts = st.text(max_size=5) | st.sampled_from(["\ud800\x1b", "x" * 5000])
values = st.none() | st.booleans() | st.integers() | st.floats() | texts | st.just([]) | st.just({})


@given(place=st.lists(st.integers(0, 20), min_size=1, max_size=7), value=values)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_value_at_any_place_raises_anything_but_an_error_of_stal(
    document: dict[str, Any], tmp_path: Path, place: list[int], value: Any
) -> None:
    changed = copy.deepcopy(document)
    node: Any = changed
    for step in place[:-1]:
        inner = list(node.values()) if isinstance(node, dict) else node
        if not inner or not isinstance(inner[step % len(inner)], dict | list):
            break
        node = inner[step % len(inner)]
    if isinstance(node, dict):
        node[list(node)[place[-1] % len(node)]] = value
    elif node:
        node[place[-1] % len(node)] = value
    path = tmp_path / "tubes.json"
    path.write_text(json.dumps(changed))
    try:
        report = check_data(data_of_json(path), decode=False)
    except StalError:
        return
    write_report(report, tmp_path / "out")
    print_report(report)
