"""Where may actors be? Boxes on the keyframe by torchvision's region proposal network, to be extended over the clip."""

import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead

from stal.models.backbone import PathwayFeatures


class KeyframeProposals(nn.Module):
    """Propose actor boxes from the features of a clip's keyframe.

    A box is later repeated on every frame of the clip, and the RoI head moves it frame by frame (Girdhar et al. 2018,
    "A better baseline for AVA").

    Args:
        in_channels: channels of the slow and the fast features together.
        channels: channels that they are reduced to before the region proposal network.
        anchor_sizes: square roots of the anchors' areas, in pixels of the clip.
        aspect_ratios: heights over widths of the anchors.
        num_train, num_test: proposals kept a clip, after NMS.
        nms_iou: IoU over which the worse of two proposals is dropped.
        positive_iou, negative_iou: an anchor is an actor from this IoU with one on, and is none below that.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        channels: int = 256,
        anchor_sizes: tuple[int, ...] = (32, 64, 128, 224),
        aspect_ratios: tuple[float, ...] = (0.5, 1.0, 2.0, 3.0),
        num_train: int = 100,
        num_test: int = 50,
        nms_iou: float = 0.7,
        positive_iou: float = 0.6,
        negative_iou: float = 0.3,
    ) -> None:
        super().__init__()
        self.reduce = nn.Sequential(nn.Conv2d(in_channels, channels, 1), nn.ReLU())
        anchors = AnchorGenerator(sizes=(anchor_sizes,), aspect_ratios=(aspect_ratios,))
        self.rpn = RegionProposalNetwork(
            anchors,
            RPNHead(channels, anchors.num_anchors_per_location()[0]),
            fg_iou_thresh=positive_iou,
            bg_iou_thresh=negative_iou,
            batch_size_per_image=64,
            positive_fraction=0.5,
            pre_nms_top_n={"training": 5 * num_train, "testing": 5 * num_test},
            post_nms_top_n={"training": num_train, "testing": num_test},
            nms_thresh=nms_iou,
        )

    def forward(
        self,
        features: PathwayFeatures,
        clip_size: tuple[int, int],
        actor_boxes: tuple[Float32[Tensor, "_ 4"], ...] | None = None,
    ) -> tuple[list[Float[Tensor, "_ 4"]], dict[str, Tensor]]:
        """Return proposals for each clip, in pixels of the clip, and in training the losses.

        Args:
            features: features of the clips.
            clip_size: (height, width) of the clips.
            actor_boxes: actors on the keyframe of each clip; needed in training.
        """
        keyframe_features = self.keyframe_features(features)
        num_clips = len(keyframe_features)
        # The anchor generator only asks this for its size.
        images = ImageList(keyframe_features.new_empty(num_clips, 1, *clip_size), [clip_size] * num_clips)
        targets = None if actor_boxes is None else [{"boxes": boxes} for boxes in actor_boxes]
        with torch.autocast(keyframe_features.device.type, enabled=False):
            proposals, losses = self.rpn(images, {"keyframe": keyframe_features.float()}, targets)
        return [boxes.detach() for boxes in proposals], {
            name: losses[key]
            for name, key in (("loss_objectness", "loss_objectness"), ("loss_proposal_box", "loss_rpn_box_reg"))
            if key in losses
        }

    def keyframe_features(self, features: PathwayFeatures) -> Float[Tensor, "B C H W"]:
        """Return the reduced features of the keyframe, which the region proposal network sees."""
        return self.reduce(torch.cat([maps[:, :, maps.shape[2] // 2] for maps in features.coarse], dim=1))
