"""Gradient tubes as files that NumPy opens.

Layout of the .npz (T frames of the video; h x w pixels of the network's clips, which show the whole frame):
    format          "stal-gradient-tube-1: 0-based frames, half-open boxes"
    video, action, method, pathway    texts; the action is the name of the tube's class
    video_size      (2,) height and width of the video
    fps             frames per second of the video
    volume          (T, h, w) float16, signed, summed over colours; each clip's largest absolute value is 1
    magnitude       (T, h, w) float16, absolute values summed over colours; each clip's largest is 1
    boxes           (T, 4) float32: x1, y1, x2, y2 in pixels of the video; no area where the tube is not
    scores          (T,) float32, class score of the clip that a frame lies in; NaN where there is none
    inside_shares   (T,) float32, share of that clip's energy inside the boxes; NaN where there is none
    volume_shares   (T,) float32, the boxes' share of that clip's voxels; NaN where there is none
"""

from pathlib import Path

import numpy as np

from stal.visualize.tube_view import TubeView

FORMAT = "stal-gradient-tube-1: 0-based frames, half-open boxes"


def write_volume(path: Path, view: TubeView) -> None:
    """Write a gradient tube; its folder is made, an old file is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tube = view.tube
    with path.open("wb") as file:  # given a name, NumPy would append .npz where it is missing
        np.savez_compressed(
            file,
            format=np.array(FORMAT),
            video=np.array(tube.video_key),
            action=np.array(view.action),
            method=np.array(tube.method),
            pathway=np.array(tube.pathway),
            video_size=np.array(view.video_size, np.int64),
            fps=np.array(view.fps),
            volume=tube.volume.astype(np.float16),
            magnitude=tube.magnitude.astype(np.float16),
            boxes=tube.boxes,
            scores=tube.scores,
            inside_shares=tube.inside_shares,
            volume_shares=tube.volume_shares,
        )
