import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from stal.data.clips import ClipDataset
from stal.data.detection_files import write_detections
from stal.data.scenes.generate import generate
from stal.data.video.stream import open_stream
from stal.engine.build import build
from stal.engine.config import load_config, with_options
from stal.errors import AnnotationError, CheckpointError, ConfigError, DataNotFoundError
from stal.inference.stream_detector import load_detector
from stal.linking.merging import merge_in_order
from stal.seeing.seen_tube import detect_tubes
from stal.structures import Annotations, Detections, Video

CONFIG = str(Path(__file__).parents[2] / "configs" / "scenes_small_plain.py")
CLASSES = ("walk", "jump", "wave", "squat", "bow", "spin", "walk_umbrella", "jump_ball", "wave_racket")
# The config's detector is given its proposals, and an untrained network's scores are low.
SETTINGS = {"device": "cpu", "options": {"model.proposals": "network", "model.detector.min_score": 1e-6}}


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Video:
    folder = tmp_path_factory.mktemp("scenes")
    annotations = generate(folder, 2, splits=("iid",), width=96, height=72)
    return annotations.videos[0]


def detections_of(detector, video: Video) -> Detections:
    stream = open_stream(video.path)
    windows = detector.windows(stream.frames(), detector.keyframes(stream.num_frames), stream.path.stem)
    return Detections.concatenate([part.detections for part in merge_in_order(detector.detect(windows))])


def test_the_detector_sees_what_a_test_sees(checkpoint, video):
    detector = load_detector(CONFIG, str(checkpoint), **SETTINGS)
    assert detector.classes == CLASSES
    tubes = detector.linker(detections_of(detector, video), num_frames=video.num_frames)

    config = with_options(load_config(CONFIG), SETTINGS["options"])
    settings = build(config.test_dataloader["dataset"], "dataset")
    settings = {key: value for key, value in settings.items() if key != "split"}
    dataset = ClipDataset(Annotations(CLASSES, (video,)), training=False, **settings)
    expected = detect_tubes(detector.model, dataset, detector.linker)
    assert len(tubes) == len(expected) > 0
    for tube, of_test in zip(tubes, expected, strict=True):
        assert tube.label == of_test.label
        np.testing.assert_array_equal(tube.frames, of_test.frames)
        np.testing.assert_allclose(tube.boxes, of_test.boxes, atol=1e-2)
        assert tube.score == pytest.approx(of_test.score, rel=1e-4)


@pytest.mark.parametrize("step", [None, 1, 5])
def test_the_step_is_the_tests_unless_another_is_named(checkpoint, step):
    detector = load_detector(CONFIG, str(checkpoint), step=step, **SETTINGS)
    dataset = load_config(CONFIG).test_dataloader["dataset"]
    span = dataset["num_frames_clip"] * dataset["stride"]
    assert detector.step == (step or dataset.get("step") or span)
    assert np.diff(detector.keyframes(100))[0] == detector.step


def test_proposals_from_a_file_are_taken_for_the_video_of_that_name(checkpoint, video, tmp_path):
    path = tmp_path / "people.npz"
    of_file = Video(video.path.stem, video.path, video.num_frames, video.height, video.width)
    boxes = np.tile(np.array([[20, 10, 60, 70]], np.float32), (video.num_frames, 1))
    ones = np.ones(video.num_frames)
    people = Detections(np.arange(video.num_frames), boxes, np.zeros(video.num_frames, np.int64), ones)
    write_detections(path, Annotations(("person",), (of_file,)), {of_file.key: people}, {})
    detector = load_detector(CONFIG, str(checkpoint), proposals=str(path), **SETTINGS)
    found = detections_of(detector, video)
    assert len(found) > 0
    centers = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
    np.testing.assert_allclose(centers.mean(0), [40, 40], atol=8)

    write_detections(path, Annotations(("person",), ()), {}, {})
    detector = load_detector(CONFIG, str(checkpoint), proposals=str(path), **SETTINGS)
    with pytest.raises(AnnotationError, match=f"do not list video {video.path.stem}"):
        detections_of(detector, video)


def test_a_frame_without_people_has_no_detections(checkpoint, video, tmp_path):
    of_file = Video(video.path.stem, video.path, video.num_frames, video.height, video.width)
    write_detections(tmp_path / "nobody.npz", Annotations(("person",), (of_file,)), {}, {})
    detector = load_detector(CONFIG, str(checkpoint), proposals=str(tmp_path / "nobody.npz"), **SETTINGS)
    assert detector.proposed_videos is not None and video.path.stem in detector.proposed_videos
    assert "another" not in detector.proposed_videos
    assert len(detections_of(detector, video)) == 0


def test_people_are_looked_for_on_keyframes_in_pixels_of_the_video(checkpoint, video, monkeypatch):
    seen = []

    class Stub(torch.nn.Module):
        def forward(self, image):
            seen.append(image.shape)
            return np.array([[20, 10, 60, 70]], np.float32)

    monkeypatch.setattr("stal.inference.stream_detector.PersonDetector", Stub)
    detector = load_detector(CONFIG, str(checkpoint), proposals="torchvision", **SETTINGS)
    assert len(detections_of(detector, video)) > 0
    assert seen == [(72, 96, 3)] * len(detector.keyframes(video.num_frames))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"proposals": "yolo"}, "--proposals 'yolo' is neither"),
        ({"step": 0}, "--step 0: between 1 and"),
        ({"step": 1000}, "--step 1000: between 1 and"),
        ({"device": "cuda:99"}, "--device cuda:99"),
        ({"device": "gpu"}, "--device gpu"),
        ({"options": {}}, "was not trained to find actors itself"),
    ],
)
def test_what_cannot_work_is_said(checkpoint, settings, said):
    with pytest.raises(ConfigError, match=said):
        load_detector(CONFIG, str(checkpoint), **{**SETTINGS, **settings})


def test_without_its_weights_the_person_detector_says_how_to_get_them(checkpoint, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(DataNotFoundError, match="curl --create-dirs"):
        load_detector(CONFIG, str(checkpoint), proposals="torchvision", **SETTINGS)


def test_a_checkpoint_names_its_classes(tmp_path):
    torch.save({"state_dict": {}, "meta": {}}, tmp_path / "bare.pth")
    with pytest.raises(CheckpointError, match="does not name its classes"):
        load_detector(CONFIG, str(tmp_path / "bare.pth"), **SETTINGS)


def test_windows_that_overlap_share_what_is_done_frame_by_frame(checkpoint, video):
    detector = load_detector(CONFIG, str(checkpoint), step=2, **SETTINGS)
    transformed = []

    def counted(clip, generator):
        transformed.extend(clip.frame_indices.tolist())
        return detector.transform(clip, generator)

    counting = dataclasses.replace(detector, transform=counted)
    stream = open_stream(video.path)
    windows = list(counting.windows(stream.frames(), counting.keyframes(stream.num_frames), "video"))
    assert len(windows) > stream.num_frames / 3
    assert transformed == list(range(stream.num_frames))


def test_windows_for_which_the_memory_is_short_are_seen_as_others(checkpoint, video, monkeypatch, caplog):
    detector = load_detector(CONFIG, str(checkpoint), batch_size=8, step=4, **SETTINGS)
    expected = detections_of(detector, video)
    predict, sizes = detector.model.detector.predict, []

    def predict_at_most_three(clips, proposals=None):
        sizes.append(len(clips))
        if len(clips) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return predict(clips, proposals)

    monkeypatch.setattr(detector.model.detector, "predict", predict_at_most_three)
    found = detections_of(detector, video)
    assert sizes[:3] == [8, 4, 2]
    assert "not enough memory for 8 clips at once: from now on 4" in caplog.text
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-3)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-4)
    detections_of(detector, video)
    assert max(sizes[3:]) == 2  # also for the next video
