"""When checkpoints are saved, and which are kept."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.dist import get_world_size
from mmengine.hooks import CheckpointHook, EMAHook
from mmengine.runner import Runner

from stal.data.formats.whole_file import open_whole
from stal.engine.config import training_settings
from stal.engine.faults.checkpoint_file import LAST_CHECKPOINT, SEALED_BACKEND
from stal.engine.faults.first_process import in_first_process
from stal.errors import CheckpointError, ConfigError

_KEPT = "kept_checkpoints"  # their names in the message hub, and so in checkpoints


def on_step_boundary(runner: Runner) -> bool:
    """Return whether no gradient is accumulated that has not changed the weights yet."""
    return runner.optim_wrapper.should_update()


class SavingHook(CheckpointHook):
    """Save whole checkpoints, each verified on the disk before an older one is removed.

    All are saved on the boundary of an optimizer step: one that is due while gradients are accumulated waits for it.
    `save_now` saves one at any other moment. As the hook is called last (`VERY_LOW`), schedules, averaged weights and
    logs are those after the step; a hook that calls `save_now` after an iteration must have the priority `LOWEST`.

    Args:
        interval: epochs, or iterations, from one checkpoint to the next; -1 for none but the last.
        by_epoch: count epochs, not iterations.
        max_keep_ckpts: how many are kept, those of `save_now` among them; -1 for all. The best ones are not counted.
        save_last: save at the end of training, whatever the interval.
        save_best: names of the metrics of the validation by which the weights of the best are kept; `auto` for the
            first.
        rule: `greater` or `less`, for all or each of `save_best`: what is better; None to go by the name.
        save_begin: the epoch, or iteration, from which on `interval` counts.
    """

    def __init__(
        self,
        interval: int = 1,
        by_epoch: bool = True,
        max_keep_ckpts: int = -1,
        save_last: bool = True,
        save_best: str | list[str] | None = None,
        rule: str | list[str] | None = None,
        save_begin: int = 0,
    ) -> None:
        super().__init__(
            interval=interval,
            by_epoch=by_epoch,
            max_keep_ckpts=max_keep_ckpts,
            save_last=save_last,
            save_best=save_best,
            rule=rule,
            save_begin=save_begin,
            backend_args={"backend": SEALED_BACKEND},
        )
        self._kept: list[str] = []
        self._is_due = False
        self._num_epochs = self._num_iterations = 0  # that have ended, also while the loop does not count them yet
        self._in_validation = False
        self._saved_at: tuple[int, int] | None = None

    def save_now(self, runner: Runner) -> Path:
        """Save all of this moment, and return the file once it is verified; the first of all processes writes it.

        It may be called between iterations, also within an epoch, and during a validation.

        Raises:
            CheckpointError: it cannot be written, or gradients are accumulated, which no checkpoint holds.
        """
        position = self._position(runner)
        if self._in_validation and self._saved_at == position:
            return Path(runner.work_dir, self._kept[-1])
        if not on_step_boundary(runner):
            raise CheckpointError(
                f"no checkpoint can be saved after iteration {position[1]}, between two steps of the optimizer"
            )
        return self._save(runner, f"iter_{position[1]}.pth")

    def before_train(self, runner: Runner) -> None:
        """Know again what the training that is resumed has kept."""
        self.out_dir = runner.work_dir
        self._kept = runner.message_hub.runtime_info.get(_KEPT, "").split()

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Save if a checkpoint is due, and the optimizer has made its step."""
        self._num_iterations = runner.iter + 1
        if not self.by_epoch:
            self._is_due |= self.every_n_train_iters(runner, self.interval, self.save_begin) or (
                self.save_last and self.is_last_train_iter(runner)
            )
        if self._is_due and on_step_boundary(runner):
            self._save(runner, f"iter_{self._num_iterations}.pth")

    def after_train_epoch(self, runner: Runner) -> None:
        """Save if a checkpoint is due."""
        self._num_epochs = runner.epoch + 1
        if not self.by_epoch:
            return
        self._is_due |= self.every_n_epochs(runner, self.interval, self.save_begin) or (
            self.save_last and self.is_last_train_epoch(runner)
        )
        if self._is_due and on_step_boundary(runner):
            self._save(runner, f"epoch_{self._num_epochs}.pth")

    def before_val_epoch(self, runner: Runner) -> None:
        """Note that averaged weights may stand in the model's place."""
        self._in_validation = True

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float]) -> None:
        """Save the weights under every name by which they are the best so far."""
        self._in_validation = False
        if not self.save_best or not metrics:
            return
        if "auto" in self.key_indicators:
            self._init_rule(self.rules, [next(iter(metrics))])
        better = [name for name in self.key_indicators if self._is_best(runner, name, metrics)]
        for name in better:
            self._save_best(runner, name, metrics[name])
        if better and on_step_boundary(runner):  # so that a training which is resumed knows the best
            epoch, iteration = self._position(runner)
            self._save(runner, f"epoch_{epoch}.pth" if self.by_epoch else f"iter_{iteration}.pth")

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Note what a training that is resumed must not change, beside the seed that mmengine notes."""
        checkpoint["meta"] |= {
            "num_processes": get_world_size(),
            "batch_size": runner.train_dataloader.batch_size,
            "settings": training_settings(runner.cfg),
        }

    def _position(self, runner: Runner) -> tuple[int, int]:
        """Return how many epochs and iterations have ended; the loop counts one only after its hooks."""
        return max(runner.epoch, self._num_epochs), max(runner.iter, self._num_iterations)

    def _save(self, runner: Runner, name: str) -> Path:
        """Save a whole checkpoint, name it as the last, and remove those that are not kept any more."""
        position = self._position(runner)
        kept = [*(earlier for earlier in self._kept if earlier != name), name]
        num_dropped = max(len(kept) - self.max_keep_ckpts, 0) if self.max_keep_ckpts > 0 else 0
        dropped, self._kept = kept[:num_dropped], kept[num_dropped:]
        runner.message_hub.update_info(_KEPT, " ".join(self._kept))
        path = Path(runner.work_dir, name)
        with self._trained_weights(runner):
            in_first_process(lambda: self._replace(runner, path, position, dropped))
        self._saved_at, self._is_due = position, False
        runner.logger.info(f"saved {path}: epoch {position[0]}, iteration {position[1]}")
        return path

    def _replace(self, runner: Runner, path: Path, position: tuple[int, int], dropped: Sequence[str]) -> None:
        self._write(runner, path, position)
        with open_whole(path.with_name(LAST_CHECKPOINT)) as file:
            file.write(str(path).encode())
        _remove(path.with_name(name) for name in dropped)

    def _write(self, runner: Runner, path: Path, position: tuple[int, int], **kinds: bool) -> None:
        """Write a checkpoint; `kinds` say what mmengine leaves out."""
        meta = {"epoch": position[0], "iter": position[1]}
        runner.save_checkpoint(str(path.parent), path.name, meta=meta, backend_args=self.backend_args, **kinds)

    @contextmanager
    def _trained_weights(self, runner: Runner) -> Iterator[None]:
        """Put the weights that are trained into the model; during a validation, averaged ones stand there."""
        averages = [hook for hook in runner.hooks if isinstance(hook, EMAHook)] if self._in_validation else []
        for hook in averages:
            hook._swap_ema_parameters()
        try:
            yield
        finally:
            for hook in averages:
                hook._swap_ema_parameters()

    def _is_best(self, runner: Runner, name: str, metrics: dict[str, float]) -> bool:
        if name not in metrics:
            raise ConfigError(
                f"default_hooks.checkpoint.save_best = {name!r} is not measured by the validation; "
                f"it measures {', '.join(metrics)}"
            )
        best = runner.message_hub.runtime_info.get(f"best_score_{name}")
        return not math.isnan(metrics[name]) and (best is None or self.is_better_than[name](metrics[name], best))

    def _save_best(self, runner: Runner, name: str, score: float) -> None:
        epoch, iteration = position = self._position(runner)
        step = f"epoch_{epoch}" if self.by_epoch else f"iter_{iteration}"
        path = Path(runner.work_dir, f"best_{name.replace('/', '_')}_{step}.pth")
        hub = runner.message_hub
        earlier = hub.runtime_info.get(f"best_checkpoint_{name}", path.name)
        hub.update_info(f"best_score_{name}", score)
        hub.update_info(f"best_checkpoint_{name}", path.name)

        def replace() -> None:
            self._write(runner, path, position, save_optimizer=False, save_param_scheduler=False)
            _remove([path.with_name(earlier)] if earlier != path.name else [])

        in_first_process(replace)
        runner.logger.info(f"saved {path}: the best {name} so far, {score:.4g}")


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise CheckpointError(f"earlier checkpoint {path} cannot be removed ({error.strerror})") from error
