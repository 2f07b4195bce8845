"""People on single frames, found by torchvision's Faster R-CNN that was trained on COCO: proposals for any action."""

import pickle
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import nn
from torchvision.models.detection import (
    FasterRCNN_ResNet50_FPN_V2_Weights,
    FasterRCNN_ResNet50_FPN_Weights,
    fasterrcnn_resnet50_fpn,
    fasterrcnn_resnet50_fpn_v2,
)

from stal.errors import CheckpointError, DataNotFoundError

# Newest first; of those whose weights are there, the first is taken.
_DETECTORS = (
    (fasterrcnn_resnet50_fpn_v2, FasterRCNN_ResNet50_FPN_V2_Weights.COCO_V1),
    (fasterrcnn_resnet50_fpn, FasterRCNN_ResNet50_FPN_Weights.COCO_V1),
)
_PERSON = FasterRCNN_ResNet50_FPN_V2_Weights.COCO_V1.meta["categories"].index("person")


class PersonDetector(nn.Module):
    """Find people with weights that lie in the cache of torch hub; nothing is downloaded.

    Args:
        min_score: people that score less are left out.

    Raises:
        DataNotFoundError: there are no weights; the message says how to get them.
        CheckpointError: the weights are broken.
    """

    def __init__(self, min_score: float = 0.5) -> None:
        super().__init__()
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        found = [(make, path) for make, weights in _DETECTORS if (path := folder / Path(weights.url).name).is_file()]
        if not found:
            url = _DETECTORS[0][1].url
            path = folder / Path(url).name
            raise DataNotFoundError(
                f"the weights of torchvision's person detector are not at {path}, and nothing is downloaded unasked; "
                f"get them (175 MB) by\n  curl --create-dirs --location --output {path} {url}"
            )
        make, path = found[0]
        self.network = make(weights=None, weights_backbone=None, box_score_thresh=min_score)
        try:
            self.network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, TypeError) as error:
            raise CheckpointError(f"the weights {path} are broken or cut short; download them again") from error
        self.eval()

    @torch.no_grad()
    def forward(self, image: UInt8[np.ndarray, "H W 3"]) -> Float32[np.ndarray, "P 4"]:
        """Return the boxes of the people on a frame, xyxy half-open pixels, surest first."""
        device = next(self.network.parameters()).device
        pixels = torch.from_numpy(image).permute(2, 0, 1).to(device) / 255
        (found,) = self.network([pixels])
        return found["boxes"][found["labels"] == _PERSON].float().cpu().numpy()
