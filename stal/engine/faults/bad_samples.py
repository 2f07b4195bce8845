"""What training says of the samples that it could not read, and when it stops for them."""

from typing import Any

import torch
from jaxtyping import Int64
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from stal.data.ledger import SampleLedger

_NUM_BAD, _NUM_SAMPLES = "num_bad_samples", "num_tried_samples"  # in the message hub, and so in checkpoints


class BadSamplesHook(Hook):
    """Hold the bad samples of all processes against the limit after every epoch, and name their number at the end."""

    def before_train(self, runner: Runner) -> None:
        """Go on counting where the training that is resumed was."""
        earlier = runner.message_hub.runtime_info
        if _NUM_BAD in earlier and runner.rank == 0:  # whose counts are added to those of the others
            _ledger_of(runner).count_earlier(earlier[_NUM_BAD], earlier[_NUM_SAMPLES])

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Note how many samples there were up to this step, for a checkpoint."""
        num_bad, num_samples = _totals(_ledger_of(runner))
        runner.message_hub.update_info_dict({_NUM_BAD: num_bad, _NUM_SAMPLES: num_samples})

    def after_train_epoch(self, runner: Runner) -> None:
        """Stop the training if too many samples are bad.

        Raises:
            BadDataError: they are, in all processes.
        """
        ledger = _ledger_of(runner)
        ledger.check_share(*_totals(ledger), _all_flags(ledger))

    def after_train(self, runner: Runner) -> None:
        """Log how many samples were bad and how many videos are damaged, if there are any."""
        ledger = _ledger_of(runner)
        num_bad, num_samples = _totals(ledger)
        num_damaged = int(_all_flags(ledger)[:, 1].sum())
        if num_bad and runner.rank == 0:
            runner.logger.warning(
                f"{num_bad} of {num_samples} samples could not be read, and others took their place; "
                f"they are named{ledger.place}"
            )
        if num_damaged and runner.rank == 0:
            runner.logger.warning(
                f"{num_damaged} videos are damaged and were used as far as they can be read; "
                f"they are named{ledger.place}"
            )


def _ledger_of(runner: Runner) -> SampleLedger:
    return runner.train_dataloader.dataset.ledger


def _totals(ledger: SampleLedger) -> tuple[int, int]:
    """Return the numbers of bad and of all samples of the batches up to now, over all processes."""
    counts = torch.tensor(ledger.used)
    all_reduce(counts)
    num_bad, num_samples = counts.tolist()
    return num_bad, num_samples


def _all_flags(ledger: SampleLedger) -> Int64[Tensor, "V 2"]:
    """Return the flags of the videos, over all processes."""
    flags = ledger.flags
    all_reduce(flags, "max")
    return flags
