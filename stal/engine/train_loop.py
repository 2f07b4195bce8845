"""The loop of a training that may be cut off at any moment, and goes on as if it had not been."""

from typing import Any

from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn

from stal.data.fingerprint import annotations_digest
from stal.engine.faults.guard import end_step
from stal.engine.step_seed import seed_step
from stal.errors import CheckpointError

# In the message hub, and so in checkpoints. Names that begin with `train`, `val` or `test` would be logged.
_ANNOTATIONS, _NUM_BATCHES, _VALIDATED = "annotations_digest", "num_batches_epoch", "last_validated_epoch"


class ExactTrainLoop(EpochBasedTrainLoop):
    """mmengine's loop over epochs, which goes on from a checkpoint of any step to the last bit.

    Every step seeds all generators, so that what it draws does not depend on those before. An epoch that was cut off
    goes on behind its last batch, and none before is read again. Of an epoch that had all its batches, what was left is
    done: what hooks do at its end, and its validation.

    Gradients are accumulated (`accumulative_counts`) within an epoch only: where its batches do not divide evenly, the
    last step of the optimizer has fewer. So an epoch never ends with gradients that no step has used yet.

    Args: as of `EpochBasedTrainLoop`; the data set has `annotations`, and the sampler is an `EpochSampler`.
    """

    def run(self) -> nn.Module:
        """Train, and return the model.

        Raises:
            CheckpointError: the training that is resumed had other data, or epochs of another length.
        """
        self._check_resumed()
        self.runner.call_hook("before_train")
        if self._num_done == 0:
            self._validate_if_due()
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self._validate_if_due()
        self.runner.call_hook("after_train")
        return self.runner.model

    def run_epoch(self) -> None:
        """Train for what is left of the epoch."""
        num_done = self._num_done
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        self.runner.optim_wrapper.initialize_count_status(self.runner.model, num_done, len(self.dataloader))
        self.dataloader.sampler.set_epoch(self._epoch, num_done * self.dataloader.batch_size)
        for number, batch in enumerate(self.dataloader, start=num_done):
            self.run_iter(number, batch)
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1

    def run_iter(self, idx: int, data_batch: Any) -> None:
        """Train on a batch.

        Args:
            idx: its number in the epoch.
            data_batch: the clips.
        """
        seed_step(self.runner.seed, self._iter)
        runner = self.runner
        runner.call_hook("before_train_iter", batch_idx=idx, data_batch=data_batch)
        outputs = runner.model.train_step(data_batch, optim_wrapper=runner.optim_wrapper)
        end_step(runner, idx, data_batch, outputs)
        self._iter += 1

    @property
    def _num_done(self) -> int:
        """Number of batches of the epoch that the model was trained on."""
        return self._iter - self._epoch * len(self.dataloader)

    def _validate_if_due(self) -> None:
        """Validate, if it is time and this epoch was not validated before the training was cut off."""
        self._decide_current_val_interval()
        is_time = self._epoch % self.val_interval == 0 or self._epoch == self._max_epochs
        if self.runner.val_loop is None or not is_time or self._epoch < max(self.val_begin, 1):
            return
        if self.runner.message_hub.runtime_info.get(_VALIDATED) != self._epoch:
            self.runner.val_loop.run()

    def _check_resumed(self) -> None:
        """Refuse to go on with other data, for which the order of the samples and the state mean something else."""
        hub, is_resumed = self.runner.message_hub, self._iter > 0
        own = {
            _ANNOTATIONS: annotations_digest(self.dataloader.dataset.annotations),
            _NUM_BATCHES: len(self.dataloader),
        }
        earlier = {name: hub.runtime_info.get(name, value) if is_resumed else value for name, value in own.items()}
        if earlier[_ANNOTATIONS] != own[_ANNOTATIONS]:
            raise CheckpointError(
                "the training to resume had other annotations (videos, tubes, classes or scenes), so that it cannot go "
                "on as it was: give it the same data, or begin a new one from its weights (load_from, in another "
                "--work-dir)"
            )
        if earlier[_NUM_BATCHES] != own[_NUM_BATCHES] or not 0 <= self._num_done <= len(self.dataloader):
            raise CheckpointError(
                f"the training to resume stands at iteration {self._iter} in epoch {self._epoch + 1} and had epochs of "
                f"{earlier[_NUM_BATCHES]} batches, but this one has epochs of {own[_NUM_BATCHES]}: resume with the "
                "same batch_size, clips_per_video and number of processes"
            )
        positions = all_gather_object((self._epoch, self._iter))
        if len(set(positions)) > 1:
            raise CheckpointError(
                f"the processes resume at different (epoch, iteration): {positions}; give all of them the same work "
                "directory, on a disk that they share"
            )
        hub.update_info_dict(own)


class ValidatedEpochHook(Hook):
    """Note which epoch was validated last, before `SavingHook` may save the best weights."""

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Note it."""
        if metrics:
            runner.message_hub.update_info(_VALIDATED, runner.epoch)
