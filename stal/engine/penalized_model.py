"""What models of clips have in common in training: the losses of a network, and a penalty on how it scores."""

import contextlib
import dataclasses
from abc import abstractmethod
from typing import Any

import torch
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from torch import Tensor, nn

from stal.engine.preprocessor import ClipPreprocessor, PreparedBatch
from stal.errors import ConfigError
from stal.losses.penalty import Penalty
from stal.losses.scored_actors import ScoredActors
from stal.mixing.mask_sources import MaskSource
from stal.models.backbone import Backbone
from stal.models.class_training import TrainOutput


class PenalizedModel(BaseModel):
    """A model whose losses are those of its network, and a penalty on the scores that it gives.

    A model of its own kind says in `_learn` what its network learns of a batch.

    Args:
        backbone: of the network; None if it has none, and nothing in it is normalised over clips.
        data_preprocessor: makes batches of clips, and mixes them in training.
        penalty: a term on the scores that is added to the losses, such as `GradientPenalty`; None for none.
        penalty_masks: says on which voxels a score may depend.
    """

    def __init__(
        self,
        backbone: Backbone | None,
        data_preprocessor: ClipPreprocessor,
        penalty: Penalty | None,
        penalty_masks: MaskSource,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        if penalty is not None and backbone is not None and backbone.norm == "batch":
            raise ConfigError(
                "model.penalty: with norm='batch' the scores of a clip depend on the other clips of its batch, also on "
                "those that a penalty changes or leaves out, and their gradients reach them; use norm='group' or "
                "norm='frozen_batch' in model.detector.backbone"
            )
        self.penalty = penalty
        self.penalty_masks = penalty_masks

    def forward(self, inputs: PreparedBatch, mode: str = "tensor") -> Any:
        """Return losses (`mode='loss'`), results per clip (`'predict'`) or features (`'tensor'`)."""
        if mode == "loss":
            return self._loss(inputs)
        if mode == "predict":
            return self._predict(inputs)
        return self._features(inputs)

    @abstractmethod
    def _learn(self, inputs: PreparedBatch) -> TrainOutput:
        """Return the losses of a batch, and what a penalty is told of it."""

    @abstractmethod
    def _predict(self, inputs: PreparedBatch) -> list[Any]:
        """Return the result of each clip."""

    @abstractmethod
    def _features(self, inputs: PreparedBatch) -> Any:
        """Return the features of the backbone."""

    def _loss(self, inputs: PreparedBatch) -> dict[str, Tensor]:
        penalty = self.penalty
        step = MessageHub.get_current_instance().get_info("iter", 0)
        if penalty is None or not penalty.schedule.is_due(step):
            return self._with_idle_penalty(self._learn(inputs).losses)
        exact = penalty.needs_input_gradient
        if exact:
            # The input clip is a leaf here, inside the forward pass: only so do gradients average right in DDP.
            clips = inputs.batch.clips.detach().requires_grad_()
            inputs = dataclasses.replace(inputs, batch=dataclasses.replace(inputs.batch, clips=clips))
        batch = inputs.batch
        # A double backward in half precision is off by a fifth and more: mixed precision rests on these steps.
        with torch.autocast(batch.clips.device.type, enabled=False) if exact else contextlib.nullcontext():
            output = self._learn(inputs)
            generator = self.data_preprocessor.generator_of(step, purpose="penalty")
            rows = output.rows
            actors = ScoredActors(
                logits=output.logits,
                labels=rows.labels,
                clips=batch.clips,
                clip_index=rows.clip_index,
                masks=self.penalty_masks(batch, rows, generator),
                label_weights=output.label_weights,
                clip_targets=output.clip_targets,
                scenes=None if batch.scenes is None else batch.scenes[rows.clip_index],
                features=output.features,
                share=output.share,
                score=output.score,
            )
            return output.losses | penalty(actors, step=step, generator=generator)

    def _with_idle_penalty(self, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the losses of a step without the penalty, whose own weights get a gradient of 0.

        Distributed training would wait for gradients that never come.
        """
        if not isinstance(self.penalty, nn.Module):
            return losses
        idle = [0 * weight.sum() for weight in self.penalty.parameters()]
        return losses | {"loss_class": sum(idle, losses["loss_class"])}
