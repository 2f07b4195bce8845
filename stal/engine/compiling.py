"""`torch.compile` for the backbone, which is nearly all of the work and whose shapes never change."""

from mmengine.config import Config

from stal.engine.penalized_model import PenalizedModel
from stal.errors import ConfigError
from stal.models.backbone import Backbone


def compile_backbone(config: Config, model: PenalizedModel, *, training: bool) -> None:
    """Compile the backbone at its first clips, if `compile_backbone` of the config says so.

    The rest of a detector stays as it is: its shapes change with the number of proposals.

    Args:
        config: a whole config.
        model: whose backbone is compiled; its weights keep their names.
        training: whether it is to be trained.

    Raises:
        ConfigError: it is to be trained with a penalty, or its stages run again.
    """
    if not config.get("compile_backbone"):
        return
    if training and model.penalty is not None:
        raise ConfigError(
            f"compile_backbone=True with model.penalty = {type(model.penalty).__name__}: what torch.compile makes has "
            "no gradient of its gradient, which penalties ask for; train with compile_backbone=False (a test may still "
            "be compiled), or with model.penalty=None"
        )
    for part in model.modules():
        if isinstance(part, Backbone):
            if training and part.checkpoint_stages:
                raise ConfigError("compile_backbone=True with checkpoint_stages=True: take one of the two")
            part.compile(fullgraph=True)
