"""Test one model on several sets of videos, one after the other."""

from collections.abc import Sequence

from mmengine.evaluator import BaseMetric
from mmengine.runner import BaseLoop, Runner, TestLoop
from torch.utils.data import DataLoader


class SetsLoop(BaseLoop):
    """Run mmengine's `TestLoop` for every set.

    A set's loader is let go when it is through, and with it the processes that read.

    Args:
        runner: the runner that it is the test loop of.
        dataloader: the loader of every set.
        evaluator: the metrics of every set. Where there are several sets, the names need a `prefix` of the set's own,
            or a log's lines would mix them up.
    """

    def __init__(
        self, runner: Runner, dataloader: Sequence[DataLoader], evaluator: Sequence[Sequence[BaseMetric]]
    ) -> None:
        super().__init__(runner, dataloader[0])
        self._loops = [TestLoop(runner, *of_set) for of_set in zip(dataloader, map(list, evaluator), strict=True)]

    def run(self) -> list[dict[str, float]]:
        """Test on every set, and return the metrics of each."""
        metrics = []
        while self._loops:
            loop = self._loops.pop(0)
            self.dataloader = loop.dataloader  # hooks ask for its length
            metrics.append(loop.run())
        return metrics
