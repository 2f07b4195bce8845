"""What an experiment is: a base config, and the mixers, penalties and seeds that it is trained with."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stal.experiments.yaml_node import YamlNode, load_yaml

Options = Mapping[str, Any]
"""Settings of a config that are changed, as `a.b.c` -> value."""

_KEYS = (
    "title", "about", "config", "data", "options", "sets", "metrics", "iid", "shifted", "gradients", "mixers",
    "penalties", "grids",
)  # fmt: skip
_MIXER_KEYS = ("mixer", "options")
_PENALTY_KEYS = ("penalty", "masks", "options")
_GRID_KEYS = ("title", "about", "mixers", "penalties", "seeds", "compare_to")
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*")  # a part of a path on any system, and of a pattern


@dataclass(frozen=True)
class DataToMake:
    """A data set that a command makes.

    Attributes:
        name: stands for its folder, as `{name}`, in options and in the commands that come later.
        command: a tool and its arguments; `{out}` among them is the folder.
    """

    name: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Grid:
    """Some mixers, each with some penalties, each with some seeds, which make a table.

    Attributes:
        title: of the table.
        about: what it is to show.
        mixers: their names, in the order of the rows.
        penalties: their names, in the order of the columns.
        seeds: of the trainings.
        compare_to: penalties that the others are compared with, seed by seed, under the same mixer.
    """

    title: str
    about: str
    mixers: tuple[str, ...]
    penalties: tuple[str, ...]
    seeds: tuple[int, ...]
    compare_to: tuple[str, ...]


@dataclass(frozen=True)
class Experiment:
    """Trainings that differ in their mixer, penalty and seed alone.

    Attributes:
        path: the YAML file.
        title: of the page.
        about: what the page says first.
        config: path of the config that all start from.
        data: data sets that are made, in this order.
        options: what all change in the config.
        sets: what every model is tested on: by name a split, or a folder of videos of its own.
        metrics: headline numbers that the page shows of each set; the first is compared and plotted.
        iid: the set that is like the training videos.
        shifted: the set on which the scene is another one.
        gradient_set: the set on which the gradients are looked at; None for none.
        mixers: by name, what each changes in the config.
        penalties: by name, what each changes in the config.
        grids: which of them meet.
    """

    path: Path
    title: str
    about: str
    config: str
    data: tuple[DataToMake, ...]
    options: Options
    sets: Mapping[str, str]
    metrics: tuple[str, ...]
    iid: str
    shifted: str
    gradient_set: str | None
    mixers: Mapping[str, Options]
    penalties: Mapping[str, Options]
    grids: tuple[Grid, ...]

    @property
    def name(self) -> str:
        """Name of its folder of results and of its page."""
        return self.path.stem

    @property
    def metric(self) -> str:
        """The number that is compared and plotted."""
        return self.metrics[0]


def read_experiment(path: str | Path) -> Experiment:
    """Read the YAML file of an experiment; experiments/scenes.yaml explains the keys.

    Raises:
        ConfigError: it cannot be read, or a value in it cannot be; the message names the place.
    """
    root = load_yaml(path)
    root.require_mapping(_KEYS)
    data = tuple(_read_data(name, node) for name, node in root.child("data", {}).entries())
    sets = _read_sets(root.child("sets"))
    metrics = tuple(item.text() for item in root.child("metrics").items())
    if not metrics:
        root.child("metrics").fail("there is no number to show; name one that tools/test.py prints")
    mixers = {_checked(name, node): _read_mixer(node) for name, node in root.child("mixers").entries()}
    penalties = {_checked(name, node): _read_penalty(node) for name, node in root.child("penalties").entries()}
    grids = tuple(_read_grid(node, tuple(mixers), tuple(penalties)) for node in root.child("grids").items())
    titles = [grid.title for grid in grids]
    for number, title in enumerate(titles):
        if title in titles[:number]:  # files are named by it
            root.child("grids").fail(f"two grids have the title {title!r}; give each its own")
    if not grids:
        root.child("grids").fail("there is no grid, and so nothing to run; write one, with mixers, penalties and seeds")
    iid = _one_of(root.child("iid"), tuple(sets), "set")
    gradients = root.child("gradients", iid)
    return Experiment(
        path=Path(path),
        title=root.child("title").text(),
        about=_read_about(root),
        config=root.child("config").text(),
        data=data,
        options=_read_options(root),
        sets=sets,
        metrics=metrics,
        iid=iid,
        shifted=_one_of(root.child("shifted"), tuple(sets), "set"),
        gradient_set=None if gradients.value is None else _one_of(gradients, tuple(sets), "set"),
        mixers=mixers,
        penalties=penalties,
        grids=grids,
    )


def _read_data(name: str, node: YamlNode) -> DataToMake:
    if _checked(name, node) == "out":
        node.fail("'out' stands for the folder of the data set itself; name it otherwise")
    command = tuple(shlex.split(node.text()))
    if not any("{out}" in word for word in command):
        node.fail("the command does not say where the data go: write {out} in place of their folder")
    return DataToMake(name, command)


def _read_sets(node: YamlNode) -> dict[str, str]:
    """Read a list of splits, or by name the split or the folder of each set."""
    if isinstance(node.value, list):
        pairs = [(_checked(item.text(), item), item.text()) for item in node.items()]
    else:
        pairs = [(_checked(name, item), item.text()) for name, item in node.entries()]
    if not pairs:
        node.fail("there is no set to test on; name a split of the data")
    if len(dict(pairs)) < len(pairs):
        node.fail("a set is there twice")
    return dict(pairs)


def _read_mixer(node: YamlNode) -> Options:
    """Read `null`, a mixer (with a `type`), or `mixer` and further `options`."""
    long = _long_form(node, "mixer", _MIXER_KEYS)
    return {"model.data_preprocessor.mixer": _component(long.child("mixer")), **_read_options(long)}


def _read_penalty(node: YamlNode) -> Options:
    """Read `null`, a penalty (with a `type`), or `penalty`, its `masks` and further `options`."""
    long = _long_form(node, "penalty", _PENALTY_KEYS)
    return {
        "model.penalty": _component(long.child("penalty")),
        "model.penalty_masks": _component(long.child("masks", None)),
        **_read_options(long),
    }


def _long_form(node: YamlNode, key: str, keys: tuple[str, ...]) -> YamlNode:
    """Return a node with `key`: the node itself, or one around it if it is a component alone."""
    if node.value is None or (isinstance(node.value, dict) and "type" in node.value):
        return YamlNode(node.file, node.place, {key: node.value})
    node.require_mapping(keys)
    return node


def _component(node: YamlNode) -> dict[str, Any] | None:
    """Return what describes an object: null, or a mapping with a dotted `type`."""
    if node.value is None:
        return None
    node.require_mapping()
    if "." not in node.child("type").text():
        node.child("type").fail(
            f"expected a dotted path such as stal.mixing.batch_mix.BatchMix, got {node.value['type']!r}"
        )
    return node.value


def _read_options(node: YamlNode) -> Options:
    return {key: item.value for key, item in node.child("options", {}).entries()}


def _read_grid(node: YamlNode, mixers: tuple[str, ...], penalties: tuple[str, ...]) -> Grid:
    node.require_mapping(_GRID_KEYS)
    seeds = node.child("seeds")
    numbers = tuple(item.integer() for item in seeds.items()) if isinstance(seeds.value, list) else None
    grid = Grid(
        title=node.child("title").text(),
        about=_read_about(node),
        mixers=_names(node.child("mixers"), mixers, "mixer"),
        penalties=_names(node.child("penalties"), penalties, "penalty"),
        seeds=tuple(range(seeds.integer())) if numbers is None else numbers,
        compare_to=_names(node.child("compare_to", []), penalties, "penalty"),
    )
    if not grid.seeds or len(set(grid.seeds)) < len(grid.seeds):
        seeds.fail(f"expected a number of seeds, or a list of different ones, got {seeds.value}")
    missing = [name for name in grid.compare_to if name not in grid.penalties]
    if missing:
        node.child("compare_to").fail(f"{missing[0]!r} is not among the penalties of the grid; add it there")
    return grid


def _read_about(node: YamlNode) -> str:
    about = node.child("about", None)
    return "" if about.value is None else about.text()


def _names(node: YamlNode, known: tuple[str, ...], kind: str) -> tuple[str, ...]:
    """Return names that are known, each once, or all for `all`."""
    if node.value == "all":
        return known
    names = tuple(_one_of(item, known, kind) for item in node.items())
    if len(set(names)) < len(names):
        node.fail(f"a {kind} is there twice")
    return names


def _one_of(node: YamlNode, known: tuple[str, ...], kind: str) -> str:
    if node.text() not in known:
        node.fail(f"there is no {kind} {node.value!r}; there are {', '.join(known)}")
    return node.text()


def _checked(name: str, node: YamlNode) -> str:
    """Return a name if it can be a part of a path and of a pattern."""
    if not _NAME.fullmatch(name):
        node.fail(f"the name {name!r} is to be of letters, digits and . _ + -, and begin with a letter or digit")
    return name
