"""Annotated actors of a split, as many as a measurement needs, and the model that they are shown to."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from jaxtyping import Bool, Float32
from mmengine.config import Config
from mmengine.device import get_device
from torch import Tensor

from stal.data.clips import ClipDataset
from stal.engine.config import load_run_config, with_options
from stal.engine.faults.checkpoint import load_weights
from stal.engine.loader import build_loader
from stal.engine.model import DetectionModel
from stal.engine.runner import build_model
from stal.engine.tested_sets import TestedSet, read_tested_sets
from stal.errors import ConfigError
from stal.ops.masks import box_masks
from stal.ops.tubelets import fill_frames


@dataclass(frozen=True)
class KeyframeActor:
    """An annotated actor that is on the keyframe of its clip.

    Attributes:
        video_key: its video.
        clip: (C, T, H, W) normalised.
        tubelet: (T, 4) its boxes, xyxy pixels of the clip; where it has none, that of the nearest frame with one.
        mask: (T, H, W) True in its boxes.
        label: its class.
    """

    video_key: str
    clip: Float32[Tensor, "C T H W"]
    tubelet: Float32[Tensor, "T 4"]
    mask: Bool[Tensor, "T H W"]
    label: int


@dataclass(frozen=True)
class ShownSet:
    """A set of videos, and a model that looks at them.

    Attributes:
        config: the config of both.
        tested: the videos.
        clips: their test clips.
        model: with the weights of the checkpoint, on the device.
    """

    config: Config
    tested: TestedSet
    clips: ClipDataset
    model: DetectionModel

    @classmethod
    def load(
        cls,
        config_path: str,
        checkpoint: str,
        split: str | None,
        work_dir: str | None,
        options: Mapping[str, Any] | None,
    ) -> "ShownSet":
        """Return the videos and the model.

        Args:
            config_path: the config file that the checkpoint was trained with.
            checkpoint: the checkpoint, or a work directory, whose last one is taken.
            split: the split, or another set as `read_tested_sets` takes it; None for the one that the config tests on.
            work_dir: None for `work_dirs/<config>`.
            options: settings of the config to change.
        """
        config = with_options(
            load_run_config(config_path, work_dir, options), {"test_dataloader.dataset.with_masks": False}
        )
        (tested,) = read_tested_sets(config, [split or config.test_dataloader.dataset.split])
        model = build_model(config)
        load_weights(model, checkpoint)
        model.to(get_device())
        clips = cast(ClipDataset, build_loader(config, "test_dataloader", tested.annotations, seed=0).dataset)
        return cls(config, tested, clips, model)

    def actors(self, min_actors: int) -> Iterator[KeyframeActor]:
        """Yield actors of clips that are taken evenly from the whole set, until they are enough.

        Args:
            min_actors: how many are enough; all there are, if those are fewer. The actors of one clip stay together.

        Raises:
            ConfigError: the set shows no actor on a keyframe.
        """
        num_actors = 0
        for position in spread(len(self.clips)):
            if num_actors >= min_actors:
                return
            clip = self.clips[position].pixels_to("cpu")
            batch = self.model.data_preprocessor.prepare([clip]).batch
            (normalized,), (boxes,), (valid,), (labels,) = batch.clips, batch.boxes, batch.valid, batch.labels
            _, num_frames, height, width = normalized.shape
            tubelets = fill_frames(boxes, valid)
            masks = box_masks(boxes, height, width) & valid[..., None, None]
            for actor in valid[:, num_frames // 2].nonzero().squeeze(1).tolist():
                num_actors += 1
                yield KeyframeActor(clip.video_key, normalized, tubelets[actor], masks[actor], int(labels[actor]))
        if num_actors == 0:
            raise ConfigError(f"no clip of {self.tested.given} has an actor on its keyframe")


def spread(count: int) -> list[int]:
    """Return all positions below `count`, in an order whose beginnings are spread evenly: van der Corput's."""
    num_bits = max(count - 1, 1).bit_length()
    reversed_bits = (int(f"{number:0{num_bits}b}"[::-1], 2) for number in range(2**num_bits))
    return [position for position in reversed_bits if position < count]
