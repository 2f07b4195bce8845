"""What training says at its end of the samples that it could not read."""

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner


class BadSamplesHook(Hook):
    """Say how many samples of a training, in all processes, could not be read, and where they are named."""

    def after_train(self, runner: Runner) -> None:
        """Log it, if there are any."""
        ledger = runner.train_dataloader.dataset.ledger
        counts = torch.tensor([ledger.num_bad, ledger.num_samples])
        all_reduce(counts)
        num_bad, num_samples = counts.tolist()
        if num_bad and runner.rank == 0:
            runner.logger.warning(
                f"{num_bad} of {num_samples} samples could not be read, and others took their place; "
                f"they are named{ledger.place}"
            )
