"""Generating the data set: real video files of actions on scenes that are correlated with them.

In training the scene gives the action away with a chosen probability; the test splits show the same performances on
other scenes, so that any difference between them is the scene's doing:

- `train`, `iid`: the scene of the action with probability `correlation`, else any other scene.
- `shifted`: any scene, whatever the action.
- `anti`: always the scene of another action.
- `scene_only`: the videos of `iid` without their actors; the tubes are kept, so that the scene alone can be scored.

The scene goes with the action of one actor of the video, drawn at random. The others do the same, or with probability
`mixed_actions` another action each, so that neither the scene nor the other people say what an actor does.

A box is the tight box, in whole pixels and half-open, of what is seen of an actor and what it holds: cut by the image
and by nearer actors. The silhouettes of an actor are there on all frames, also on those without a box, on which it
stands idle, is mostly outside of the image, or mostly hidden. So are their joints, if these are asked for.
"""

import contextlib
import multiprocessing
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from rich.progress import Progress

from stal.data.formats.tubes_json import write_tubes_json
from stal.data.keypoints import write_keypoints
from stal.data.processes import deaf_to_interrupts
from stal.data.scenes.actions import ACTIONS
from stal.data.scenes.backgrounds import SCENES, render_background
from stal.data.scenes.encode import write_mp4
from stal.data.scenes.performances import FPS, MAX_ACTORS, Performance, random_performance
from stal.data.scenes.render import ActorLayer, over, render_actors
from stal.data.scenes.skeletons import joint_positions, joint_visibility
from stal.errors import ConfigError
from stal.structures import Annotations, Video

SPLITS = ("train", "iid", "shifted", "anti", "scene_only")
ANNOTATIONS_FILE = "annotations.json"

_SUFFIXES = {"videos": ".mp4", "masks": ".npz", "keypoints": ".npz"}
_MIN_HEIGHT = 64
_MIN_TUBE_FRAMES = 8
# The numbers of the streams of chance; `scene_only` shows the scenes of `iid`.
_SCENE_STREAM = {"train": 1, "iid": 1, "shifted": 2, "anti": 3, "scene_only": 1}
_ACTIONS_STREAM = 4


@dataclass(frozen=True)
class _Job:
    """One performance, to be shown on a scene for each of some splits."""

    out: Path
    index: int
    splits: tuple[str, ...]
    correlation: float
    mixed_actions: float
    keypoints: bool
    seed: int
    width: int
    height: int

    def stream(self, number: int) -> np.random.Generator:
        """Return a source of chance that depends on the performance, and on no other video or process."""
        group = int("train" in self.splits)
        return np.random.default_rng(np.random.SeedSequence([self.seed, group, self.index, number]))


def generate(
    out: str | Path,
    num_videos: int,
    correlation: float = 0.9,
    mixed_actions: float = 0.0,
    keypoints: bool = False,
    seed: int = 0,
    splits: Sequence[str] = SPLITS,
    width: int = 160,
    height: int = 120,
    jobs: int = 1,
    overwrite: bool = False,
    show_progress: bool = False,
) -> Annotations:
    """Generate the data set: `OUT/annotations.json`, and videos, silhouettes and perhaps joints beside it.

    Every file depends on the arguments, but neither on `jobs` nor on the other splits that are asked for.

    Args:
        out: the folder to make; it must be empty or absent unless `overwrite`.
        num_videos: of the training split; every test split has half of them.
        correlation: probability that the scene is the action's, in `train`, `iid` and `scene_only`.
        mixed_actions: probability that a further actor of a video does another action than the one that the scene goes
            with; all else is the same for every value.
        keypoints: write the actors' joints too (`Video.keypoints_path`).
        seed: of all chance, not negative.
        splits: some of `SPLITS`.
        width: of the videos, in pixels, even.
        height: of the videos, in pixels, even.
        jobs: number of processes.
        overwrite: replace what an earlier run left in `out`.
        show_progress: show a progress bar.

    Returns:
        The annotations that were written.

    Raises:
        ConfigError: an argument cannot work, or `out` is not empty.
    """
    out = Path(out)
    _check_arguments(num_videos, correlation, mixed_actions, seed, splits, width, height, jobs)
    _prepare_folder(out, [folder for folder in _SUFFIXES if folder != "keypoints" or keypoints], splits, overwrite)
    test_splits = tuple(split for split in SPLITS if split in splits and split != "train")
    groups: list[tuple[tuple[str, ...], int]] = [(("train",), num_videos)] if "train" in splits else []
    groups += [(test_splits, num_videos // 2)] if test_splits else []
    todo = [
        _Job(out, index, group, correlation, mixed_actions, keypoints, seed, width, height)
        for group, count in groups
        for index in range(count)
    ]
    videos: list[Video] = []
    with Progress(disable=not show_progress) as progress, contextlib.closing(_run(todo, jobs)) as done:
        bar = progress.add_task("Generating videos", total=sum(len(job.splits) for job in todo))
        for made in done:
            videos += made
            progress.advance(bar, len(made))
    videos.sort(key=lambda video: (SPLITS.index(video.split), video.key))
    annotations = Annotations(tuple(ACTIONS), tuple(videos))
    write_tubes_json(annotations, out / ANNOTATIONS_FILE)
    return annotations


def _check_arguments(
    num_videos: int,
    correlation: float,
    mixed_actions: float,
    seed: int,
    splits: Sequence[str],
    width: int,
    height: int,
    jobs: int,
) -> None:
    if num_videos < 2:
        raise ConfigError(f"number of training videos {num_videos}: at least 2, so that the test splits have one")
    if not 0 <= correlation <= 1:
        raise ConfigError(f"correlation {correlation}: a probability, between 0 and 1")
    if not 0 <= mixed_actions <= 1:
        raise ConfigError(f"mixed_actions {mixed_actions}: a probability, between 0 and 1")
    if seed < 0:
        raise ConfigError(f"seed {seed}: must not be negative")
    unknown = [split for split in splits if split not in SPLITS]
    if unknown or not splits:
        raise ConfigError(f"splits {list(splits)}: choose some of {', '.join(SPLITS)}")
    if not _MIN_HEIGHT <= height <= width or width % 2 or height % 2:
        raise ConfigError(
            f"size {width}x{height}: use even sides, a height of {_MIN_HEIGHT} pixels or more, and no less width"
        )
    if jobs < 1:
        raise ConfigError(f"{jobs} jobs: at least 1")


def _prepare_folder(out: Path, folders: Iterable[str], splits: Sequence[str], overwrite: bool) -> None:
    """Make the folders, and remove what an earlier run left there, if that was asked for."""
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file; give a folder for the data set")
    if out.is_dir() and any(out.iterdir()):
        if not overwrite:
            raise ConfigError(f"{out} is not empty; give another folder, or overwrite (--overwrite) the data set in it")
        (out / ANNOTATIONS_FILE).unlink(missing_ok=True)
        for folder, suffix in _SUFFIXES.items():  # only files of such names: the folder may hold other things
            for file in (file for split in SPLITS for file in (out / folder / split).glob(f"[0-9]*{suffix}")):
                file.unlink()
    for folder in folders:
        for split in splits:
            (out / folder / split).mkdir(parents=True, exist_ok=True)


def _run(todo: Sequence[_Job], jobs: int) -> Generator[list[Video], None, None]:
    """Do the jobs here or in processes, and give their videos as they get done; closed early, start no further job."""
    if jobs == 1:
        yield from map(_make_videos, todo)
        return
    context = multiprocessing.get_context("spawn")  # the same on every platform, and safe beside threads
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=cv2.setNumThreads, initargs=(1,))
    try:
        with deaf_to_interrupts():  # submitting starts the workers
            futures = [pool.submit(_make_videos, job) for job in todo]
        for future in as_completed(futures):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _make_videos(job: _Job) -> list[Video]:
    """Write the videos, silhouettes and joints of one performance, one video a split."""
    labels = choose_actions(job.stream(_ACTIONS_STREAM), job.index % len(ACTIONS), job.mixed_actions)
    performance, layer = _annotatable_performance(job, labels)
    return [_make_video(job, split, performance, layer) for split in job.splits]


def _annotatable_performance(job: _Job, labels: Sequence[int]) -> tuple[Performance, ActorLayer]:
    """Draw performances until one has a tube of a useful length for every actor."""
    rng = job.stream(0)
    while True:
        performance = random_performance(rng, labels, job.width, job.height)
        layer = render_actors(performance, job.width, job.height)
        if len(layer.tubes) == len(performance.actors) and min(map(len, layer.tubes)) >= _MIN_TUBE_FRAMES:
            return performance, layer


def _make_video(job: _Job, split: str, performance: Performance, layer: ActorLayer) -> Video:
    rng = job.stream(_SCENE_STREAM[split])
    scene = choose_scene(rng, split, performance.label, job.correlation)
    frames = render_background(scene, rng, performance.pan, job.width, job.height)
    masks = layer.masks
    if split == "scene_only":
        masks = np.zeros_like(masks)
    else:
        frames = over(layer.rgba, frames)
    key = f"{split}/{job.index:05d}"
    path, masks_path = job.out / "videos" / f"{key}.mp4", job.out / "masks" / f"{key}.npz"
    write_mp4(path, frames, FPS)
    np.savez_compressed(masks_path, masks=masks)
    keypoints_path = job.out / "keypoints" / f"{key}.npz" if job.keypoints else None
    if keypoints_path is not None:
        positions = joint_positions(performance)
        visibility = joint_visibility(positions, layer.masks)
        tube_ids = np.arange(len(positions))
        write_keypoints(keypoints_path, tube_ids, positions, visibility * (split != "scene_only"))
    return Video(
        key=key,
        path=path,
        num_frames=len(frames),
        height=job.height,
        width=job.width,
        fps=FPS,
        tubes=layer.tubes,
        split=split,
        masks_path=masks_path,
        scene=scene,
        keypoints_path=keypoints_path,
    )


def choose_actions(rng: np.random.Generator, label: int, mixed_actions: float) -> list[int]:
    """Draw the actions of a video's actors, as many as there may be; the first is `label`."""
    others = np.array([other for other in range(len(ACTIONS)) if other != label])
    differs = rng.uniform(size=MAX_ACTORS - 1) < mixed_actions
    return [label, *np.where(differs, rng.choice(others, MAX_ACTORS - 1), label).tolist()]


def choose_scene(rng: np.random.Generator, split: str, label: int, correlation: float) -> str:
    """Draw the scene of a video of a split; scene i is the one that goes with action i."""
    scenes = list(SCENES)
    others = [scene for i, scene in enumerate(scenes) if i != label]
    if split == "shifted":
        return scenes[rng.integers(len(scenes))]
    agrees = split != "anti" and rng.uniform() < correlation
    return scenes[label] if agrees else others[rng.integers(len(others))]
