"""Time the linkers on a file of detections, and print the video-mAP of their tubes where it has ground truth.

python benchmarks/linking.py --data detections.npz --copies 4 --all-trimmers
"""

import argparse
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from stal.data.detection_files import read_detections
from stal.linking.linker import LINKERS, TRIMMERS, Linker, link_videos
from stal.linking.online import OnlineLinking
from stal.metrics.video_map import video_map
from stal.ops.boxes import pairwise_iou
from stal.structures import Detections, Tube, Video

IOU_THRESHOLDS = (0.2, 0.5, 0.75)
REFERENCE = "online, frame by frame"


def link_frame_by_frame(boxes: Detections) -> list[list[int]]:
    """Do what `OnlineLinking` with the parameters of Singh et al. does, by the plain loop over classes and frames."""
    linking = OnlineLinking()
    paths: list[list[int]] = []
    for label in np.unique(boxes.labels):
        live: list[list[int]] = []
        for frame in np.unique(boxes.frames[boxes.labels == label]):
            rows = np.flatnonzero((boxes.labels == label) & (boxes.frames == frame))
            live = [path for path in live if frame - boxes.frames[path[-1]] <= linking.max_gap + 1]
            live.sort(key=lambda path: -np.sort(boxes.scores[path])[-linking.max_gap - 1 :].mean())
            iou = pairwise_iou(boxes.boxes[[path[-1] for path in live]], boxes.boxes[rows])
            free = np.ones(len(rows), bool)
            for path, overlaps in zip(live, iou, strict=True):
                fitting = np.flatnonzero(free & (overlaps >= linking.iou_threshold))
                if len(fitting):
                    free[fitting[0]] = False
                    path.append(int(rows[fitting[0]]))
            new = [[int(row)] for row in rows[free]]
            paths += new
            live += new
    return paths


def main() -> None:
    """Parse the arguments, run every linker, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="detections, as stal.data.detection_files describes")
    parser.add_argument("--copies", type=int, default=1, help="times that the videos are repeated (default 1)")
    parser.add_argument("--all-trimmers", action="store_true", help="every linker with every trimmer")
    parser.add_argument("--no-reference", action="store_true", help="leave out the plain loop, which is slow")
    arguments = parser.parse_args()

    data = read_detections(arguments.data)
    copies = range(arguments.copies)
    detections = {f"{key}/{copy}": boxes for copy in copies for key, boxes in data.detections.items()}
    num_frames = {f"{video.key}/{copy}": video.num_frames for copy in copies for video in data.annotations.videos}
    videos = [replace(video, key=f"{video.key}/0") for video in data.annotations.videos]

    linkers = dict(LINKERS)
    if arguments.all_trimmers:
        linkers = {
            f"{name}, {trimmer}{' (its own)' if trim == linker.trim else ''}": replace(linker, trim=trim)
            for name, linker in LINKERS.items()
            for trimmer, trim in TRIMMERS.items()
        }
    if not arguments.no_reference:
        linkers[REFERENCE] = replace(LINKERS["online"], link=link_frame_by_frame)
    show(linkers, videos, len(data.annotations.classes), detections, num_frames)


def show(
    linkers: Mapping[str, Linker],
    videos: list[Video],
    num_classes: int,
    detections: Mapping[str, Detections],
    num_frames: Mapping[str, int],
) -> None:
    """Measure every linker and print a table; video-mAP is of `videos`."""
    has_truth = any(video.tubes for video in videos)
    table = Table(
        "linker",
        title=f"{len(num_frames)} videos, {sum(len(boxes) for boxes in detections.values())} detections",
        caption=f"ratio: to {REFERENCE}" + "; video-mAP by the protocol voc, in %" * has_truth,
    )
    for column in ("CPU s", "ratio", "tubes", *(f"mAP@{t}" for t in IOU_THRESHOLDS if has_truth)):
        table.add_column(column, justify="right")
    measured: dict[str, tuple[float, dict[str, list[Tube]]]] = {}
    for name, linker in linkers.items():
        start = time.process_time()
        if name == REFERENCE:  # a video at a time: the loop would search the boxes of all videos for every frame
            tubes = {key: linker(detections[key], num_frames=length) for key, length in num_frames.items()}
        else:
            tubes = link_videos(linker, detections, num_frames)
        measured[name] = (time.process_time() - start, tubes)
    reference_seconds = measured[REFERENCE][0] if REFERENCE in measured else None
    for name, (seconds, tubes) in measured.items():
        of_videos = {video.key: tubes[video.key] for video in videos}
        maps = [100 * video_map(videos, of_videos, num_classes, t).mean for t in IOU_THRESHOLDS if has_truth]
        num_tubes = sum(map(len, tubes.values()))
        table.add_row(
            name,
            f"{seconds:.2f}",
            f"{seconds / reference_seconds:.2f}" if reference_seconds else "",
            str(num_tubes),
            *(f"{value:.1f}" for value in maps),
        )
    Console().print(table)


if __name__ == "__main__":
    main()
