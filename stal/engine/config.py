"""Read a config file. A config is Python code that runs when it is read: use only those that you trust."""

import copy
import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from stal.errors import ConfigError

# What a config may set. Written out, since asking mmengine's Runner takes seconds to import it.
KEYS = {
    "auto_scale_lr",
    "backbone_weights",
    "compile_backbone",
    "custom_hooks",
    "data",
    "default_hooks",
    "env_cfg",
    "linking",
    "load_from",
    "log_level",
    "log_processor",
    "model",
    "model_wrapper_cfg",
    "optim_wrapper",
    "param_scheduler",
    "progress",
    "protocol",
    "randomness",
    "sync_bn",
    "test_dataloader",
    "train_cfg",
    "train_dataloader",
    "validation",
    "visualizer",
    "work_dir",
}
# Of these, what no number depends on.
_WITHOUT_EFFECT = {"work_dir", "log_level", "log_processor", "progress", "validation", "visualizer"}
# Dicts without a `type` whose keys are arguments too, and are checked where they are used.
_ARGUMENTS = {"train_dataloader", "train_dataloader.dataset", "test_dataloader", "test_dataloader.dataset"}


def load_config(path: str | Path, options: Mapping[str, Any] | None = None) -> Config:
    """Return the config at `path` with `options` (`a.b.c` -> value) merged into it.

    Raises:
        ConfigError: the file is missing or not Python, a top-level key is not known, or an option names a key that the
            config does not have.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"there is no config {path}; the configs of the project stand in configs/")
    if path.suffix != ".py":  # mmengine would run code of other kinds of files too, where none expects any
        raise ConfigError(f"config {path} is not a Python file: only .py is read")
    try:
        config = Config.fromfile(str(path))
    except (
        SyntaxError, ImportError, NameError, LookupError, RuntimeError, TypeError, ValueError, AttributeError, OSError
    ) as error:  # fmt: skip
        raise ConfigError(f"config {path} cannot be read: {type(error).__name__}: {error}") from error
    for key in config.to_dict():  # without what the file imported
        if not key.startswith("_") and key not in KEYS:
            raise ConfigError(f"config {path}: {_unknown(key, KEYS)}")
    return with_options(config, options or {})


def with_options(config: Config, options: Mapping[str, Any]) -> Config:
    """Return a copy of `config` with `options` (`a.b.c` -> value) merged into it; a dict replaces what was there.

    Raises:
        ConfigError: an option names a key that the config does not have.
    """
    changed = copy.deepcopy(config)
    for key in options:
        _check_option(changed, key)
    replaced = {k: {**v, "_delete_": True} for k, v in options.items() if isinstance(v, Mapping)}
    try:
        changed.merge_from_dict(dict.fromkeys(replaced))  # mmengine leaves `_delete_` in a dict that replaces nothing
        changed.merge_from_dict({**options, **replaced})
    except (KeyError, TypeError, AttributeError) as error:  # two options that contradict each other
        raise ConfigError(f"--cfg-options {', '.join(options)}: they cannot all be set: {error}") from error
    return changed


def load_run_config(path: str | Path, work_dir: str | None = None, options: Mapping[str, Any] | None = None) -> Config:
    """Return `load_config(path, options)` with a `work_dir`: the one given, its own, or `work_dirs/<name>`."""
    config = load_config(path, options)
    config.work_dir = work_dir or config.get("work_dir") or str(Path("work_dirs") / Path(path).stem)
    return config


def describe_config(config: Config) -> dict[str, Any]:
    """Return what numbers depend on in a config, as plain values: a class is its dotted name."""
    kept = {
        key: value for key, value in config.to_dict().items() if key not in _WITHOUT_EFFECT and not key.startswith("_")
    }
    return json.loads(json.dumps(kept, default=_dotted_name))


def training_settings(config: Config) -> dict[str, Any]:
    """Return what a training takes its steps by, and a resumed one must not change: `a.b` -> plain value.

    It may go on for longer, unless schedules follow `max_epochs`.
    """
    described = describe_config(config)
    settings = _flatten({"optim_wrapper": described.get("optim_wrapper", {})})
    return settings | {"param_scheduler": fit_schedules(Config(described))}


def fit_schedules(config: Config) -> list[dict[str, Any]]:
    """Return the schedules with `max_epochs`, where they name it, as the number that it is."""
    max_epochs = (config.get("train_cfg") or {}).get("max_epochs")
    return [
        {key: max_epochs if value == "max_epochs" else value for key, value in schedule.items()}
        for schedule in config.get("param_scheduler") or []
    ]


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat


def config_digest(config: Config) -> str:
    """Return a digest of what numbers depend on in a config."""
    return hashlib.sha256(json.dumps(describe_config(config), sort_keys=True).encode()).hexdigest()[:16]


def _dotted_name(value: Any) -> str:
    """Return the name of a class or function of a config."""
    if not hasattr(value, "__qualname__"):
        raise ConfigError(f"{value!r} in a config cannot be written down; use numbers, texts, lists, dicts and classes")
    return f"{value.__module__}.{value.__qualname__}"


def _check_option(config: Config, option: str) -> None:
    """Raise unless every part of the dotted `option` is in the config, or the last may be added.

    A top-level key may be added if it is known, and an argument to a dict of arguments: what takes them checks it.
    """
    first, *rest = option.split(".")
    if first not in KEYS:
        raise ConfigError(f"--cfg-options {option}: {_unknown(first, KEYS)}")
    node: Any = config.get(first)
    for depth, part in enumerate(rest, start=1):
        above = ".".join([first, *rest[: depth - 1]])
        if isinstance(node, list):
            if not part.isdigit() or int(part) >= len(node):
                raise ConfigError(f"--cfg-options {option}: {above} has {len(node)} items, numbered from 0")
            if depth == len(rest):
                raise ConfigError(f"--cfg-options {option}: set the whole of {above}, not one of its items")
            node = node[int(part)]
        elif isinstance(node, Mapping):
            takes_arguments = depth == len(rest) and ("type" in node or above in _ARGUMENTS)
            if part not in node and not takes_arguments:
                raise ConfigError(f"--cfg-options {option}: {above}: {_unknown(part, node)}")
            node = node.get(part)
        else:
            raise ConfigError(f"--cfg-options {option}: {above} is {node!r}, it has no {part!r}")


def _unknown(key: str, known: Iterable[str]) -> str:
    """Return a text that says that `key` is not known, and which known one it may have been meant to be."""
    known = sorted(map(str, known))
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
    return f"unknown key {key!r}; {hint}"
