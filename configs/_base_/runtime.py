"""What every training shares: hooks, logging, seed."""

from mmengine.hooks import (
    DistSamplerSeedHook,
    IterTimerHook,
    LoggerHook,
    ParamSchedulerHook,
    RuntimeInfoHook,
)
from mmengine.visualization import LocalVisBackend, Visualizer

from stal.engine.display.progress import ProgressHook
from stal.engine.display.waiting import WaitingHook
from stal.engine.faults.bad_samples import BadSamplesHook
from stal.engine.faults.checkpoint import PlainCheckpointHook
from stal.engine.faults.checkpoint_hook import SavingHook
from stal.engine.faults.guard import GuardHook
from stal.engine.short_history import ShortHistoryHook
from stal.engine.validation import Validation

default_hooks = dict(
    runtime_info=dict(type=RuntimeInfoHook),
    timer=dict(type=IterTimerHook),
    sampler_seed=dict(type=DistSamplerSeedHook),
    logger=dict(type=LoggerHook, interval=20),
    param_scheduler=dict(type=ParamSchedulerHook),
    checkpoint=dict(type=SavingHook, interval=1, max_keep_ckpts=2),
)
custom_hooks = [
    dict(type=WaitingHook),
    dict(type=PlainCheckpointHook),
    dict(type=BadSamplesHook),
    dict(type=GuardHook),
    dict(type=ShortHistoryHook),
    dict(type=ProgressHook),
]
log_processor = dict(window_size=20, by_epoch=True)
visualizer = dict(type=Visualizer, vis_backends=[dict(type=LocalVisBackend)])
validation = dict(type=Validation, split=None)  # None: no validation while training
progress = "auto"  # bars on a terminal and lines elsewhere; or "rich", "plain"
env_cfg = dict(mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0))
linking = "default"  # a name of stal.linking.linker.LINKERS, or dict(type=Linker, ...)
protocol = "voc"  # a name of stal.metrics.protocol.PROTOCOLS
randomness = dict(seed=0)
log_level = "INFO"
