"""How processes find each other, what wraps the model, and how learning rates follow the batch."""

import os
import stat

import pytest
import torch
from mmengine.config import Config

from stal.engine.processes import join_processes, refuse_statistics_apart, scale_learning_rate, wrap_config
from stal.errors import ConfigError

SLURM = {
    "SLURM_PROCID": "3",
    "SLURM_NTASKS": "8",
    "SLURM_LOCALID": "1",
    "SLURM_JOB_NODELIST": "gpu[04-05]",
    "SLURM_JOB_ID": "123456",
}


@pytest.fixture
def joined(monkeypatch):
    """The process groups that were asked for; none is made, and the environment is put back."""
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    backends = []
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda backend, timeout: backends.append(backend))
    return backends


@pytest.fixture
def scontrol(tmp_path, monkeypatch, joined):
    """A `scontrol` that knows two nodes."""
    script = tmp_path / "scontrol"
    script.write_text('#!/bin/sh\n[ "$*" = "show hostnames gpu[04-05]" ] && printf "gpu04\\ngpu05\\n"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    os.environ["PATH"] = f"{tmp_path}:{os.environ['PATH']}"


def test_one_process_joins_no_group(joined):
    join_processes("none")
    assert joined == []


def test_a_task_of_slurm_joins_the_others_on_the_first_node(joined, scontrol):
    os.environ.update(SLURM)
    join_processes("slurm")
    assert joined == ["gloo"]
    named = {name: os.environ[name] for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")}
    assert named == {
        "RANK": "3", "LOCAL_RANK": "0", "WORLD_SIZE": "8", "MASTER_ADDR": "gpu04", "MASTER_PORT": "23456"
    }  # fmt: skip


@pytest.mark.parametrize(("num_gpus", "local_rank"), [(0, "0"), (1, "0"), (2, "1"), (8, "1")])
def test_a_task_takes_a_gpu_that_it_sees(joined, scontrol, monkeypatch, num_gpus, local_rank):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: num_gpus)
    os.environ.update(SLURM)
    join_processes("slurm")
    assert os.environ["LOCAL_RANK"] == local_rank


def test_what_the_job_script_says_of_the_master_holds(joined):
    os.environ.update(SLURM, MASTER_ADDR="login", MASTER_PORT="4711")
    join_processes("slurm")
    assert (os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]) == ("login", "4711")


@pytest.mark.parametrize(
    ("launcher", "environment", "text"),
    [
        ("slurm", {}, "SLURM_PROCID is not in the environment; start the tool by srun"),
        ("slurm", {"SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, "SLURM_JOB_NODELIST is not in the environment"),
        ("slurm", {**SLURM, "PATH": "/nowhere"}, r"gpu\[04-05\]` does not name the first node .*; set MASTER_ADDR"),
        ("pytorch", {"RANK": "0"}, "LOCAL_RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT is not in the .* by torchrun"),
    ],
)
def test_a_process_that_was_started_otherwise_is_told_so(joined, launcher, environment, text):
    os.environ.update(environment)
    with pytest.raises(ConfigError, match=text):
        join_processes(launcher)
    assert joined == []


def config_of(**settings: object) -> Config:
    return Config({"model": {"penalty": None}, **settings})


def test_one_process_wraps_nothing():
    config = config_of()
    assert wrap_config(config, "none") is config


@pytest.mark.parametrize("own", [None, {"find_unused_parameters": True}, {"device_ids": [0]}])
def test_without_a_gpu_the_wrapper_names_none(monkeypatch, own):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    config = config_of() if own is None else config_of(model_wrapper_cfg=own)
    wrapper = wrap_config(config, "pytorch").model_wrapper_cfg
    assert wrapper == {**(own or {}), "type": "MMDistributedDataParallel", "device_ids": None}


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"model_wrapper_cfg": {"static_graph": True}, "model": {"penalty": {"weight": 1.0}}}, "wrong gradients"),
        ({"model_wrapper_cfg": {"type": "MMFullyShardedDataParallel"}}, r"only MMDistributed.*\(FSDP\) are freed"),
        ({"sync_bn": "torch"}, "sync_bn = 'torch' needs GPUs"),
    ],
)
def test_a_wrapper_that_would_train_wrongly_is_refused(monkeypatch, settings, text):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=text):
        wrap_config(config_of(**settings), "pytorch")


def test_a_static_graph_without_a_penalty_is_allowed():
    config = config_of(model_wrapper_cfg={"static_graph": True})
    assert wrap_config(config, "none") is config


@pytest.mark.parametrize(
    ("norm", "num_processes", "settings"), [("batch", 1, {}), ("group", 2, {}), ("batch", 2, {"sync_bn": "torch"})]
)
def test_statistics_of_norms_are_the_same_in_all_processes(norm, num_processes, settings):
    assert refuse_statistics_apart(norm, config_of(**settings), num_processes) is None


def test_statistics_of_norms_that_differ_are_refused():
    with pytest.raises(ConfigError, match="norm = 'batch' in 2 processes"):
        refuse_statistics_apart("batch", config_of(), 2)


def scaled_config(enable: bool = True, base: object = 8, **optim_wrapper: object) -> Config:
    schedules = [
        {"type": "LinearLR", "start_factor": 0.1, "end": 3},
        {"type": "CosineAnnealingLR", "eta_min": 0.01},
        {"type": "OneCycleLR", "eta_max": 0.4, "pct_start": 0.3},
        {"type": "CosineAnnealingMomentum", "eta_min": 0.85},
    ]
    return Config(
        {
            "train_dataloader": {"batch_size": 4},
            "optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.2}, **optim_wrapper},
            "param_scheduler": schedules,
            "auto_scale_lr": {"enable": enable, "base_batch_size": base},
        }
    )


@pytest.mark.parametrize(("num_processes", "num_steps", "factor"), [(1, 1, 0.5), (2, 1, 1.0), (4, 1, 2.0), (2, 4, 4.0)])
def test_learning_rates_are_in_proportion_to_the_batch(num_processes, num_steps, factor):
    config = scale_learning_rate(scaled_config(accumulative_counts=num_steps), num_processes)
    assert config.optim_wrapper.optimizer.lr == pytest.approx(0.2 * factor)
    linear, cosine, one_cycle, momentum = config.param_scheduler
    assert cosine["eta_min"] == pytest.approx(0.01 * factor)
    assert one_cycle["eta_max"] == pytest.approx(0.4 * factor)
    # these are no learning rates, or relative to one
    assert (linear["start_factor"], one_cycle["pct_start"], momentum["eta_min"]) == (0.1, 0.3, 0.85)


def test_learning_rates_are_scaled_once():
    once = scale_learning_rate(scaled_config(), 4)
    assert scale_learning_rate(once, 4) is once


@pytest.mark.parametrize("config", [scaled_config(enable=False), Config({"train_dataloader": {"batch_size": 4}})])
def test_learning_rates_stay_unless_scaling_is_asked_for(config):
    assert scale_learning_rate(config, 4) is config


@pytest.mark.parametrize("base", [None, 0, -1, "8"])
def test_scaling_needs_to_know_what_the_learning_rate_is_for(base):
    with pytest.raises(ConfigError, match=r"auto_scale_lr\.base_batch_size = "):
        scale_learning_rate(scaled_config(base=base), 2)


def test_scaling_needs_a_learning_rate():
    config = scaled_config()
    del config.optim_wrapper.optimizer["lr"]
    with pytest.raises(ConfigError, match="has no lr"):
        scale_learning_rate(config, 2)
