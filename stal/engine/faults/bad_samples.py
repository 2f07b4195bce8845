"""What training says of the samples that it could not read, and when it stops for them."""

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

    def after_train_epoch(self, runner: Runner) -> None:
        """Stop the training if too many samples are bad.

        Raises:
            BadDataError: they are, in all processes.
        """
        ledger = _ledger_of(runner)
        num_bad, num_samples, flags = _totals(ledger)
        runner.message_hub.update_info(_NUM_BAD, num_bad)
        runner.message_hub.update_info(_NUM_SAMPLES, num_samples)
        ledger.check_share(num_bad, num_samples, flags)

    def after_train(self, runner: Runner) -> None:
        """Log how many samples were bad and how many videos are damaged, if there are any."""
        ledger = _ledger_of(runner)
        num_bad, num_samples, flags = _totals(ledger)
        num_damaged = int(flags[:, 1].sum())
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


def _totals(ledger: SampleLedger) -> tuple[int, int, Int64[Tensor, "V 2"]]:
    """Return the numbers of bad and of all samples, and the flags of the videos, over all processes."""
    counts, flags = torch.tensor([ledger.num_bad, ledger.num_samples]), ledger.flags
    all_reduce(counts)
    all_reduce(flags, "max")
    num_bad, num_samples = counts.tolist()
    return num_bad, num_samples, flags
