"""Training and testing in several processes: who joins whom, what wraps the model, how the learning rate follows."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import init_dist, is_distributed

from stal.engine.config import with_options
from stal.errors import ConfigError

_DDP = "MMDistributedDataParallel"
_TIMEOUT = timedelta(hours=1)  # longer than loaders wait for their workers, and than one process evaluates for all
_FIRST_PORT, _NUM_PORTS = 20_000, 10_000  # for the jobs of Slurm: jobs that share a node get different ones


def join_processes(launcher: str) -> None:
    """Join the process group, over NCCL where there are GPUs and over gloo elsewhere; mmengine's own way needs a GPU.

    Args:
        launcher: `none`; `pytorch`, where torchrun started the processes; or `slurm`, where srun did, a process a task.

    Raises:
        ConfigError: this process was not started so.
    """
    if launcher == "none" or is_distributed():
        return
    if launcher == "slurm":
        os.environ.update(_slurm_environment(os.environ))
    missing = [name for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT") if not _env(name)]
    if missing:
        raise ConfigError(
            f"--launcher {launcher}: {', '.join(missing)} is not in the environment; start the tool by "
            "torchrun --nproc-per-node NUM tools/train.py CONFIG --launcher pytorch"
        )
    if torch.cuda.is_available():
        init_dist("pytorch", backend="nccl", timeout=_TIMEOUT)
    else:
        torch.distributed.init_process_group("gloo", timeout=_TIMEOUT)


@contextmanager
def joined_processes(launcher: str) -> Iterator[None]:
    """Join the process group for the block, and leave it at the end, unless the process was in it before.

    One that fails ends without leaving: it would wait for those that wait for it.
    """
    if launcher == "none" or is_distributed():
        yield
        return
    join_processes(launcher)
    try:
        yield
    except SystemExit:  # which all processes have agreed on
        torch.distributed.destroy_process_group()
        raise
    torch.distributed.destroy_process_group()


def wrap_config(config: Config, launcher: str) -> Config:
    """Return the config with what wraps the model in several processes.

    Raises:
        ConfigError: what it names cannot train this model, or would train it wrongly without a word.
    """
    settings = dict(config.get("model_wrapper_cfg") or {})
    kind = settings.get("type", _DDP)
    name = str(getattr(kind, "__name__", kind))
    penalty = config["model"].get("penalty")
    if name.rpartition(".")[2] not in (_DDP, "DistributedDataParallel"):
        raise ConfigError(
            f"model_wrapper_cfg.type = {name}: only {_DDP} is offered. Sharded weights (FSDP) are freed by the inner "
            "of the two backward passes of a penalty, and its gradient never arrives; see docs/many_gpus.md for what "
            "else saves memory"
        )
    if settings.get("static_graph") and penalty:
        raise ConfigError("model_wrapper_cfg.static_graph = True gives wrong gradients with model.penalty: remove it")
    if launcher == "none":
        return config
    if torch.cuda.is_available():
        return config
    if config.get("sync_bn"):
        raise ConfigError(
            f"sync_bn = {config.sync_bn!r} needs GPUs; without them leave it out, or have norm='group' or "
            "norm='frozen_batch' in model.detector.backbone, which need no other process"
        )
    return with_options(config, {"model_wrapper_cfg": {"type": _DDP, **settings, "device_ids": None}})


def refuse_statistics_apart(norm: str, config: Config, num_processes: int) -> None:
    """Refuse batch norm whose running statistics differ from process to process, of which one is saved.

    Args:
        norm: of the backbone.
        config: a whole config.
        num_processes: how many train together.

    Raises:
        ConfigError: they would.
    """
    if norm == "batch" and num_processes > 1 and not config.get("sync_bn"):
        raise ConfigError(
            f"model.detector.backbone.norm = 'batch' in {num_processes} processes: each would have statistics of its "
            "own clips, and a checkpoint those of the first; set sync_bn='torch' (on GPUs), or norm='group' or "
            "'frozen_batch'"
        )


def scale_learning_rate(config: Config, num_processes: int) -> Config:
    """Return the config with learning rates for the batch that it really has, if `auto_scale_lr.enable` is set.

    The linear rule of Goyal et al. (arXiv 1706.02677): a batch k times as large, at k times the learning rate. The
    batch is that of all processes and of all steps whose gradients are accumulated.

    Args:
        config: a whole config; `auto_scale_lr.base_batch_size` is the batch that its learning rates are for.
        num_processes: how many train together.

    Raises:
        ConfigError: the batch that the learning rates are for, or the learning rate, is not said.
    """
    scaling = config.get("auto_scale_lr") or {}
    if not scaling.get("enable"):
        return config
    base = scaling.get("base_batch_size")
    if not isinstance(base, int) or base < 1:
        raise ConfigError(f"auto_scale_lr.base_batch_size = {base!r}: say for how many clips the learning rate is")
    if "lr" not in config.optim_wrapper["optimizer"]:
        raise ConfigError("auto_scale_lr: optim_wrapper.optimizer has no lr that could be scaled; set it")
    num_steps = config.optim_wrapper.get("accumulative_counts", 1)
    factor = config.train_dataloader["batch_size"] * num_processes * num_steps / base
    optimizer = {**config.optim_wrapper["optimizer"], "lr": config.optim_wrapper["optimizer"]["lr"] * factor}
    schedules = [_scale_schedule(schedule, factor) for schedule in config.get("param_scheduler") or []]
    # Not again, if a training is started from the config that this one leaves in its work directory.
    done = {**scaling, "enable": False}
    return with_options(
        config, {"optim_wrapper.optimizer": optimizer, "param_scheduler": schedules, "auto_scale_lr": done}
    )


def _scale_schedule(schedule: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """Return a schedule with its absolute learning rates scaled; its other numbers are relative to them."""
    kind = schedule["type"]
    of_rate = "Momentum" not in str(getattr(kind, "__name__", kind))
    return {
        key: value * factor if of_rate and key in ("eta_max", "eta_min") and value is not None else value
        for key, value in schedule.items()
    }


def _slurm_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what torchrun would have set, of a task that srun started.

    Raises:
        ConfigError: this is no task of Slurm, or its nodes cannot be told.
    """
    try:
        rank, num_tasks = environment["SLURM_PROCID"], environment["SLURM_NTASKS"]
        nodes, job, local_rank = (environment[f"SLURM_{name}"] for name in ("JOB_NODELIST", "JOB_ID", "LOCALID"))
    except KeyError as error:
        raise ConfigError(
            f"--launcher slurm: {error.args[0]} is not in the environment; start the tool by srun, a task a process, "
            "as docs/many_gpus.md shows"
        ) from None
    found = {"RANK": rank, "WORLD_SIZE": num_tasks}
    # A task may see its own GPU alone, which is then number 0.
    found["LOCAL_RANK"] = str(int(local_rank) % max(torch.cuda.device_count(), 1))
    found["MASTER_ADDR"] = environment.get("MASTER_ADDR") or _first_node(nodes)
    found["MASTER_PORT"] = environment.get("MASTER_PORT") or str(_FIRST_PORT + int(job) % _NUM_PORTS)
    return found


def _first_node(nodes: str) -> str:
    try:
        hosts = subprocess.run(["scontrol", "show", "hostnames", nodes], capture_output=True, text=True, check=True)
        return hosts.stdout.split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError) as error:
        raise ConfigError(
            f"--launcher slurm: `scontrol show hostnames {nodes}` does not name the first node ({error}); "
            "set MASTER_ADDR to it"
        ) from error


def _env(name: str) -> str | None:
    return os.environ.get(name)
