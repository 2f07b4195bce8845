"""Draw the gradient tubes of a checkpoint's surest detection in a video: what tools/visualize_gradients.py does."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from rich.progress import track

from stal.attribution import GradientTube, gradient_tube, input_gradient
from stal.data.clips import ClipDataset
from stal.data.transforms import to_video_boxes
from stal.data.video.reader import count_frames, read_frames
from stal.engine.build import build, build_annotations
from stal.engine.checkpoint import load_weights, read_checkpoint
from stal.engine.config import load_run_config
from stal.engine.model import DetectionModel
from stal.engine.runner import build_model
from stal.errors import CheckpointError, ConfigError
from stal.models.detector import Tubelets
from stal.ops.masks import box_masks
from stal.ops.tubes import interpolate_frames
from stal.structures import Annotations, Clip, Video
from stal.visualize.drawing import colour, draw_boxes, draw_caption, draw_heat, enlarge
from stal.visualize.files import write_strip, write_video

_MIN_WIDTH = 320  # smaller videos are enlarged until text on them can be read
_MAX_VOXELS = 2**29  # of a video: it is held in memory, several times over


@dataclass(frozen=True)
class WindowTube:
    """The gradient tube of the surest tubelet of one class in one window of a video.

    Attributes:
        clip: the window.
        boxes: (T, 4) the tubelet, xyxy pixels of the clip.
        score: its class score.
        tube: its gradient tube.
    """

    clip: Clip
    boxes: torch.Tensor
    score: float
    tube: GradientTube


def draw_gradient_tubes(
    config_path: str,
    checkpoint: str,
    *,
    video: str | None = None,
    index: int = 0,
    split: str | None = None,
    out: str | None = None,
    work_dir: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Path:
    """Draw where the score of a video's surest detection comes from, and return the path of the mp4.

    The class of the surest detection is followed through the video, window by window. Beside the mp4 stand a PNG strip
    of the window of the surest detection, and a JSON file with the energy shares of every window.

    Args:
        config_path: the config file that the checkpoint was trained with.
        checkpoint: the checkpoint, or a work directory, whose last one is taken.
        video: a video file or folder of frames; None for a video of the config's data set.
        index: which video of the data set's split.
        split: the split; None for the one that the config tests on.
        out: folder for the files; None for `gradients` in the work directory.
        work_dir: None for `work_dirs/<config>`.
        options: settings of the config to change.
    """
    config = load_run_config(config_path, work_dir, options)
    folder = Path(out or Path(config.work_dir) / "gradients")
    annotations = _own_video(video, checkpoint) if video else _data_set_video(config, index, split)
    (chosen,) = annotations.videos
    _check_length(chosen)
    model = build_model(config)
    load_weights(model, checkpoint)
    model.to(get_device()).eval()
    settings = build(config.test_dataloader["dataset"], "test_dataloader.dataset")
    span = settings["num_frames_clip"] * settings["stride"]
    settings = {key: value for key, value in settings.items() if key not in ("split", "step")}
    windows = ClipDataset(annotations, training=False, step=span, **settings)

    clips = [windows[i].pixels_to("cpu") for i in range(len(windows))]
    found = [_predict(model, clip) for clip in track(clips, description="detecting")]
    best = [float(tubelets.class_scores.max()) if len(tubelets.boxes) else 0.0 for tubelets in found]
    if max(best) == 0:
        raise ConfigError(f"nothing is detected in {chosen.path}: is the checkpoint trained, and on such videos?")
    surest = int(np.argmax(best))
    label = int(found[surest].class_scores.max(0).values.argmax())
    tubes = [
        _window_tube(model, clip, tubelets, label)
        for clip, tubelets in zip(track(clips, description="differentiating"), found, strict=True)
    ]
    frames = read_frames(chosen.path, np.arange(chosen.num_frames), num_frames=chosen.num_frames)
    drawn = _draw(frames, tubes, annotations.classes[label])
    name = chosen.key.replace("/", "_")
    write_video(folder / f"{name}.mp4", drawn, fps=chosen.fps or 25.0)
    write_strip(folder / f"{name}.png", drawn[np.unique(clips[surest].frame_indices.numpy())], num_frames=4)
    shares = _shares(tubes, chosen, annotations.classes[label])
    (folder / f"{name}.json").write_text(json.dumps(shares, indent=2) + "\n")
    return folder / f"{name}.mp4"


def _data_set_video(config: Config, index: int, split: str | None) -> Annotations:
    """Return the annotations of one video of the data set."""
    if split:
        config.test_dataloader.dataset.split = split
    annotations = build_annotations(config, "test_dataloader")
    if not 0 <= index < len(annotations.videos):
        raise ConfigError(f"--index {index}: the split has {len(annotations.videos)} videos, numbered from 0")
    return Annotations(annotations.classes, (annotations.videos[index],))


def _own_video(path: str, checkpoint: str) -> Annotations:
    """Return a video file without annotation, with the classes that the checkpoint was trained on."""
    num_frames = count_frames(path)
    height, width = read_frames(path, np.zeros(1, np.int64)).shape[1:3]
    classes = (read_checkpoint(checkpoint).get("meta", {}).get("dataset_meta") or {}).get("classes")
    if not classes:
        raise CheckpointError(
            f"checkpoint {checkpoint} does not name its classes, so --video cannot either: use one that training wrote "
            "or a video of the data set (--index)"
        )
    return Annotations(tuple(classes), (Video(Path(path).stem, Path(path), num_frames, height, width),))


def _check_length(video: Video) -> None:
    num_voxels = video.num_frames * video.height * video.width
    if num_voxels > _MAX_VOXELS:
        most = _MAX_VOXELS // (video.height * video.width)
        raise ConfigError(
            f"{video.path} has {video.num_frames} frames of {video.width} x {video.height}, too many to draw at once: "
            f"cut it to {most} frames, or make it smaller"
        )


def _predict(model: DetectionModel, clip: Clip) -> Tubelets:
    batch = model.data_preprocessor.prepare([clip]).batch
    (tubelets,) = model.detector.predict(batch.clips)
    return tubelets


def _window_tube(model: DetectionModel, clip: Clip, tubelets: Tubelets, label: int) -> WindowTube | None:
    """Return the gradient tube of the surest tubelet of class `label`; None where there is none."""
    if not len(tubelets.boxes) or float(tubelets.class_scores[:, label].max()) == 0:
        return None
    row = int(tubelets.class_scores[:, label].argmax())
    boxes = tubelets.boxes[row]
    normalized = model.data_preprocessor.prepare([clip]).batch.clips[0]
    gradient = input_gradient(model.detector, normalized, boxes, label)
    mask = box_masks(boxes, *clip.frames.shape[-2:])
    return WindowTube(clip, boxes.cpu(), float(tubelets.class_scores[row, label]), gradient_tube(gradient, mask))


def _draw(frames: np.ndarray, tubes: Sequence[WindowTube | None], action: str) -> np.ndarray:
    """Return the video above its gradient tubes, with boxes and a caption."""
    num_frames, _, width, _ = frames.shape
    heat = np.zeros((num_frames, *_clip_size(tubes)), np.float32)
    boxes = np.zeros((num_frames, 4), np.float32)
    captions = [["no detection here", "", ""]] * num_frames
    for tube in tubes:
        if tube is None:
            continue
        sampled, first = np.unique(tube.clip.frame_indices.numpy(), return_index=True)
        boxes_video = to_video_boxes(tube.boxes.float(), tube.clip.to_video, tube.clip.video_size).numpy()
        every, between = interpolate_frames(sampled, boxes_video[None, first])
        boxes[every] = between[0]
        shown = np.searchsorted(sampled, every, side="right") - 1  # with a stride, heat stays until the next frame
        heat[every] = tube.tube.saliency.cpu().numpy()[first][shown]
        text = [
            f"{action} {tube.score:.2f}",
            "|d logit / d clip|, maximum of each clip = 1",
            f"energy in box {tube.tube.inside_share:.0%}, box {tube.tube.volume_share:.0%} of clip",
        ]
        for frame in every:
            captions[frame] = text
    factor = max(1, -(-_MIN_WIDTH // width))
    frames, boxes = enlarge(frames, factor), boxes * factor
    rows = [draw_boxes(row, boxes, colour(0), thickness=2) for row in (frames, draw_heat(frames, heat))]
    joined = np.concatenate(rows, axis=1)
    return np.concatenate([draw_caption(joined[t : t + 1], captions[t]) for t in range(num_frames)])


def _clip_size(tubes: Sequence[WindowTube | None]) -> tuple[int, int]:
    height, width = next(tube for tube in tubes if tube is not None).tube.saliency.shape[1:]
    return int(height), int(width)


def _shares(tubes: Sequence[WindowTube | None], video: Video, action: str) -> dict[str, Any]:
    """Return the numbers behind the picture."""
    return {
        "video": video.key,
        "class": action,
        "windows": [
            {
                "frames": [int(tube.clip.frame_indices[0]), int(tube.clip.frame_indices[-1])],
                "score": tube.score,
                "gradient_energy_in_box": tube.tube.inside_share,
                "box_share_of_clip": tube.tube.volume_share,
            }
            for tube in tubes
            if tube is not None
        ],
    }
