"""Whether the silhouettes of actors lie in their boxes, on some frames of some videos."""

import numpy as np
from jaxtyping import Int64, UInt8

from stal.checks.files import choose_evenly
from stal.checks.finding import MAX_EXAMPLES, Example, Finding
from stal.data.masks import UNKNOWN, read_masks
from stal.errors import StalError
from stal.structures import Annotations, Tube, Video

MAX_VIDEOS = 60
_FRAMES_PER_TUBE = 3
_MIN_SHARE_INSIDE = 0.5


def check_silhouettes(annotations: Annotations, max_videos: int = MAX_VIDEOS) -> list[Finding]:
    """Compare silhouettes with boxes on the first, a middle and the last frame of tubes.

    Args:
        annotations: the data set.
        max_videos: so many of its videos are looked at, spread evenly.
    """
    videos = [video for video in annotations.videos if video.masks_path is not None and video.tubes]
    broken: list[Example] = []
    astray: list[Example] = []
    num_compared = 0
    for v in choose_evenly(np.arange(len(videos)), max_videos).tolist():
        for tube in videos[v].tubes:
            frames = choose_evenly(tube.frames, _FRAMES_PER_TUBE)
            try:
                masks = read_masks(videos[v], frames)
            except StalError as error:
                broken.append(Example(videos[v].key, str(error)))
                break
            num_compared += len(frames)
            astray += _astray(videos[v], tube, frames, masks)
    findings = []
    if broken:
        what = f"{len(broken):,} of {min(len(videos), max_videos):,} videos looked at: silhouettes that cannot be read"
        remedy = "generate or download them again"
        findings.append(Finding("error", "silhouettes-unreadable", what, remedy, tuple(broken[:MAX_EXAMPLES])))
    if astray:
        what = f"{len(astray):,} of {num_compared:,} silhouettes looked at: half or more outside of the actor's box"
        remedy = (
            "compare the frames and the tube ids of silhouettes with those of the tubes: "
            "value v of a silhouette is the tube with id v - 1"
        )
        findings.append(Finding("warning", "silhouettes-astray", what, remedy, tuple(astray[:MAX_EXAMPLES])))
    return findings


def _astray(
    video: Video, tube: Tube, frames: Int64[np.ndarray, " T"], masks: UInt8[np.ndarray, "T H W"]
) -> list[Example]:
    """Return the frames on which an actor's silhouette is not in its box, although silhouettes are known there."""
    examples = []
    boxes, _ = tube.boxes_at(frames)
    for frame, box, mask in zip(frames.tolist(), boxes, masks, strict=True):
        if not ((mask > 0) & (mask != UNKNOWN)).any():
            continue  # nobody is seen: scenes without their actors have tubes too
        silhouette = mask == tube.id + 1
        x1, y1, x2, y2 = np.concatenate([np.floor(box[:2]), np.ceil(box[2:])]).clip(min=0).astype(int)
        inside, total = int(silhouette[y1:y2, x1:x2].sum()), int(silhouette.sum())
        if inside <= _MIN_SHARE_INSIDE * total:
            value = f"{inside:,} of {total:,} pixels inside" if total else "no pixel of this actor"
            examples.append(Example(video.key, value, tube=tube.id, frame=frame))
    return examples
