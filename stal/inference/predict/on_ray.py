"""The same on Ray Data: workers of a cluster take videos as they are free, and the results are the same files."""

import math
import os
import pickle
import secrets
import signal
import threading
from collections.abc import Sequence

import numpy as np

from stal.engine.display.displays import open_display
from stal.errors import ConfigError, StalError
from stal.inference.predict.results import ResultFolder
from stal.inference.predict.run import VideoPredictor
from stal.inference.predict.settings import PredictSettings
from stal.inference.predict.videos import ListedVideo

_BLOCKS_PER_WORKER = 16  # a worker that ends early takes work from the others
_MAX_VIDEOS_PER_BLOCK = 10  # whose ends are heard of together, and which are gone through again where a worker died


class RayWorker:
    """A predictor of batches of one row, as `ray.data.Dataset.map_batches` calls it.

    What ends the run is returned as a value, and raised by the process that began the run: of what is raised here Ray
    makes an error of its own, and of what is raised as a worker begins, a new worker.

    Args:
        settings: say with what.
        run: names the run, see `ResultFolder.take_back_run`.
    """

    def __init__(self, settings: PredictSettings, run: str) -> None:
        self._settings, self._run = settings, run
        self._predict: VideoPredictor | None = None
        self._error = b""

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Predict the video of a batch, if it has no result yet; after an error, nothing more."""
        is_done = False
        if not self._error:
            try:
                is_done = self._see_to(pickle.loads(batch["video"][0]))
            except StalError as error:
                self._error = pickle.dumps(error)
        return {"is_done": np.array([is_done]), "error": np.array([self._error], object)}

    def _see_to(self, video: ListedVideo) -> bool:
        """Return whether a video has its result now."""
        self._predict = self._predict or VideoPredictor(self._settings, self._run)
        results = self._predict.results
        if results.is_done(video):  # a worker that died later had the same block
            results.close_video(video)
            return True
        self._predict(video)
        return results.is_done(video)


def predict_on_ray(settings: PredictSettings, videos: Sequence[ListedVideo], num_workers: int | None = None) -> int:
    """Predict all videos that have no result yet, and return how many of them all have none in the end.

    It joins the cluster that `RAY_ADDRESS` names or that runs on this machine, and else begins one here. Every machine
    of it needs stal, and sees the videos, the config, the checkpoint and the folder of results by the same paths.

    Args:
        settings: say with what.
        videos: in any order.
        num_workers: processes, which share the GPUs of the cluster; None for one a GPU, and without GPUs one a core.

    Raises:
        ConfigError: Ray is not installed, or the time for a video is limited; or see `predict_videos`.
        CheckpointError: the checkpoint cannot be used.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody unasked
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ConfigError("--launcher ray needs Ray: pip install 'stal[ray]'") from error
    if settings.max_minutes is not None:
        raise ConfigError(
            "--max-minutes: Ray's workers can interrupt no video; leave it out, or use another --launcher"
        )
    if num_workers is not None and num_workers < 1:
        raise ConfigError(f"--workers {num_workers}: at least 1 works")
    results = ResultFolder(settings.out)
    results.begin(settings.recipe())
    waiting = [video for video in videos if not results.is_done(video)]
    if not waiting:
        return 0
    if not ray.is_initialized():
        on_sigterm = signal.getsignal(signal.SIGTERM)
        ray.init(include_dashboard=False, log_to_driver=False)
        if threading.current_thread() is threading.main_thread():  # where Ray has set a handler of its own
            signal.signal(signal.SIGTERM, on_sigterm or signal.SIG_DFL)
    resources = ray.cluster_resources()
    num_gpus = resources.get("GPU", 0.0)
    workers = min(num_workers or int(num_gpus or resources["CPU"]), len(waiting))
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False  # the one here shows the time left
    context.execution_no_progress_timeout_s = -1  # a video takes as long as it takes
    rows = [{"video": pickle.dumps(video)} for video in waiting]  # not as texts: the bytes of a path need not be one
    num_blocks = max(min(len(rows), _BLOCKS_PER_WORKER * workers), -(-len(rows) // _MAX_VIDEOS_PER_BLOCK))
    run = secrets.token_hex(8)
    found = ray.data.from_items(rows, override_num_blocks=num_blocks).map_batches(
        RayWorker,
        fn_constructor_args=(settings, run),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=1,
        num_gpus=1 / math.ceil(workers / num_gpus) if num_gpus else 0,  # a worker cannot have parts of two
    )
    display = open_display("auto", "predict", len(videos), len(videos) - len(waiting))
    num_failed = 0
    try:
        for row in found.iter_rows():
            if row["error"]:
                raise pickle.loads(row["error"])
            num_failed += not row["is_done"]
            display.advance("predict", {"failed": str(num_failed)})
    except BaseException:
        ray.shutdown()  # ends the workers, which are in the middle of videos that are not to blame
        results.take_back_run(run)
        raise
    finally:
        display.stop()
    return num_failed
