import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError
from torch.utils.data import DataLoader

from stal.data import clips, transforms
from stal.data.epoch_sampler import EpochSampler
from stal.errors import AnnotationError, ConfigError
from stal.structures import Annotations, Clip, Tube, Video

HEIGHT, WIDTH = 6, 8


def identity(clip: Clip, generator: np.random.Generator) -> Clip:
    return clip


def noise(clip: Clip, generator: np.random.Generator) -> Clip:
    return transforms.jitter_colour(clip, generator, 0.5, 0.0, 0.0)


def make_video(key: str, num_frames: int, *tubes: Tube, masks: bool = False) -> Video:
    masks_path = Path(f"{key}.npz") if masks else None
    return Video(key, Path(f"{key}.avi"), num_frames, HEIGHT, WIDTH, tubes=tubes, masks_path=masks_path)


def make_tube(frames: range, id: int = 0, label: int = 0, box=(1, 1, 4, 5)) -> Tube:
    boxes = np.tile(np.array(box, np.float32), (len(frames), 1))
    return Tube(label=label, id=id, frames=np.array(frames), boxes=boxes)


def dataset_of(*videos: Video, transform=identity, training=True, num_frames_clip=4, stride=1, **options):
    annotations = Annotations(("run", "jump"), videos)
    return clips.ClipDataset(annotations, num_frames_clip, stride, transform, training=training, **options)


@pytest.fixture
def reads(monkeypatch) -> list[list[int]]:
    """Replace the decoder: frame i is filled with i. Returns the list of the indices of every read."""
    reads: list[list[int]] = []

    def read_frames(path, indices, *, num_frames=None, backend="pyav", damaged="error"):
        reads.append(list(indices))
        assert num_frames is not None and max(indices) < num_frames
        return np.broadcast_to(np.uint8(indices)[:, None, None, None], (len(indices), HEIGHT, WIDTH, 3)).copy()

    def read_masks(video, indices):
        reads.append(list(indices))
        masks = np.zeros((video.num_frames, HEIGHT, WIDTH), np.uint8)
        for tube in video.tubes:
            for frame, (x1, y1, x2, y2) in zip(tube.frames, tube.boxes.astype(int), strict=True):
                masks[frame, y1 + 1 : y2, x1:x2] = tube.id + 1  # a row less than the box
        return masks[indices]

    monkeypatch.setattr(clips, "read_frames", read_frames)
    monkeypatch.setattr(clips, "damage_of", lambda path, num_frames: None)
    monkeypatch.setattr(clips, "read_masks", read_masks)
    return reads


@pytest.mark.usefixtures("reads")
def test_a_clip_has_the_frames_and_boxes_of_its_window():
    video = make_video("v", 9, make_tube(range(2, 4), id=3, label=1), make_tube(range(8, 9), id=5))
    clip = dataset_of(video, training=False)[0]
    assert clip.frames.shape == (3, 4, HEIGHT, WIDTH)
    assert clip.frames[0, :, 0, 0].tolist() == clip.frame_indices.tolist() == [0, 1, 2, 3]
    assert clip.labels.tolist() == [1]  # the other tube is not in this window
    assert clip.valid.tolist() == [[False, False, True, True]]
    assert clip.boxes[0].tolist() == [[0] * 4] * 2 + [[1, 1, 4, 5]] * 2
    assert clip.to_video.tolist() == [1, 1, 0, 0]
    assert (clip.video_key, clip.video_size) == ("v", (HEIGHT, WIDTH))


@pytest.mark.usefixtures("reads")
@pytest.mark.parametrize("training", [True, False])
def test_a_clip_has_the_number_of_the_scene_of_its_video(training):
    scenes = {"a": "street", "b": None, "c": "beach", "d": "street"}
    videos = [replace(make_video(key, 4, make_tube(range(4))), scene=scene) for key, scene in scenes.items()]
    assert {clip.video_key: clip.scene for clip in dataset_of(*videos, training=training)} == {
        "a": 1, "b": -1, "c": 0, "d": 1,
    }  # fmt: skip


@pytest.mark.usefixtures("reads")
def test_frames_repeated_at_the_end_of_a_video_repeat_their_boxes():
    clip = dataset_of(make_video("v", 2, make_tube(range(1, 2))), training=False)[0]
    assert clip.frame_indices.tolist() == [0, 0, 1, 1] or clip.frame_indices.tolist() == [0, 1, 1, 1]
    assert clip.valid[0].tolist() == [i == 1 for i in clip.frame_indices.tolist()]


@pytest.mark.usefixtures("reads")
def test_boxes_that_leave_the_video_are_cut_to_it():
    video = make_video("v", 4, make_tube(range(4), box=(-3, 2, 5, 99)), make_tube(range(4), id=1, box=(8, 0, 9, 3)))
    clip = dataset_of(video, training=False)[0]
    assert clip.boxes[:, 0].tolist() == [[0, 2, 5, HEIGHT]]


@pytest.mark.usefixtures("reads")
def test_a_training_clip_has_an_actor_on_its_keyframe():
    dataset = dataset_of(make_video("v", 40, make_tube(range(20, 23))), clips_per_video=30)
    centres = {int(clip.frame_indices[2]) for clip in dataset}
    assert len(dataset) == 30 and centres == {20, 21, 22}


@pytest.mark.usefixtures("reads")
def test_training_takes_clips_per_video_of_every_video_with_a_box():
    videos = [make_video("a", 9, make_tube(range(9))), make_video("empty", 9), make_video("b", 9, make_tube(range(3)))]
    dataset = dataset_of(*videos, clips_per_video=2)
    assert [clip.video_key for clip in dataset] == ["a", "a", "b", "b"]


@pytest.mark.usefixtures("reads")
def test_training_without_boxes_takes_any_frame_of_every_video_with_a_label():
    unboxed = replace(make_video("a", 9), labels=(1,))
    boxed = make_video("b", 9, make_tube(range(2), label=1), make_tube(range(2), id=1))
    dataset = dataset_of(unboxed, make_video("c", 9), boxed, keyframes="any", clips_per_video=40)
    assert list(dataset.num_clips) == ["a", "b"]
    clips_of = {key: [clip for clip in dataset if clip.video_key == key] for key in "ab"}
    assert [clips_of[key][0].video_labels.tolist() for key in "ab"] == [[1], [0, 1]]
    for some in clips_of.values():
        assert {int(clip.frame_indices[2]) for clip in some} == set(range(9))


def test_what_asks_for_no_boxes_does_not_balance_them():
    with pytest.raises(ConfigError, match="balance must be 'video' and not 'tube'"):
        dataset_of(make_video("a", 9, make_tube(range(2))), keyframes="any", balance="tube")


def test_videos_without_a_label_are_an_error_where_no_boxes_are_asked_for():
    with pytest.raises(AnnotationError, match="none of the 1 videos has a label to train on"):
        dataset_of(make_video("a", 9), keyframes="any")


@pytest.mark.usefixtures("reads")
def test_testing_covers_all_videos_in_order_also_those_without_boxes():
    dataset = dataset_of(make_video("a", 9, make_tube(range(9))), make_video("empty", 4), training=False)
    assert [(clip.video_key, clip.frame_indices.tolist()) for clip in dataset] == [
        ("a", [0, 1, 2, 3]),
        ("a", [4, 5, 6, 7]),
        ("a", [5, 6, 7, 8]),
        ("empty", [0, 1, 2, 3]),
    ]
    assert len(dataset_of(make_video("a", 9), training=False, step=1)) == 6


@pytest.mark.usefixtures("reads")
def test_a_sample_depends_on_its_position_and_seeds_alone():
    video = make_video("v", 99, make_tube(range(99)))
    dataset, again = (dataset_of(video, clips_per_video=50, seed=7, transform=noise) for _ in range(2))
    other = dataset_of(video, clips_per_video=50, seed=8, transform=noise)
    again[13]
    assert torch.equal(dataset[3, 5].frames, again[3, 5].frames)
    keyframes = [[int(data[at].frame_indices[2]) for at in ats] for data, ats in (
        (dataset, range(20)), (dataset, [(i, 1) for i in range(20)]), (dataset, [(0, i) for i in range(20)]),
        (other, range(20)),
    )]  # fmt: skip
    assert all(len(set(drawn)) > 5 for drawn in keyframes)
    assert len({tuple(drawn) for drawn in keyframes}) == 4
    assert torch.equal(dataset[3].frames, dataset[3, 0].frames)


@pytest.mark.usefixtures("reads")
def test_silhouettes_are_read_for_the_videos_that_have_them():
    tubes = make_tube(range(2), id=253), make_tube(range(4), id=4, box=(5, 0, 7, 4))
    with_masks, without = make_video("a", 4, *tubes, masks=True), make_video("b", 4, *tubes)
    dataset = dataset_of(with_masks, without, training=False, with_masks=True)
    masks = dataset[0].actor_masks
    assert masks.shape == (2, 4, HEIGHT, WIDTH)
    assert masks.sum(dim=(2, 3)).tolist() == [[9, 9, 0, 0], [6, 6, 6, 6]]
    assert masks[1, 0, 1:4, 5:7].all()
    assert dataset[1].actor_masks is None
    assert dataset_of(with_masks, training=False)[0].actor_masks is None


def test_a_cached_video_is_read_once_and_gives_the_same_clips(reads):
    video = make_video("v", 9, make_tube(range(9)), masks=True)
    size = 9 * HEIGHT * WIDTH
    options = {"training": False, "with_masks": True, "stride": 2}
    plain = list(dataset_of(video, **options))
    assert len(reads) == 2 * len(plain)
    for budget, num_reads in ((4 * size, 2), (3 * size, 1 + len(plain)), (3 * size - 1, len(plain) + 1)):
        reads.clear()
        for clip, expected in zip(dataset_of(video, cache_bytes=budget, **options), plain, strict=True):
            assert torch.equal(clip.frames, expected.frames)
            assert torch.equal(clip.actor_masks, expected.actor_masks)
        assert len(reads) == num_reads


@pytest.mark.parametrize(("options", "expected"), [({}, "pyav"), ({"backend": "decord"}, "decord")])
def test_frames_are_decoded_by_the_backend_that_was_chosen(monkeypatch, options, expected):
    backends = []

    def read_frames(path, indices, *, num_frames, backend, damaged):
        backends.append(backend)
        return np.zeros((len(indices), HEIGHT, WIDTH, 3), np.uint8)

    monkeypatch.setattr(clips, "read_frames", read_frames)
    monkeypatch.setattr(clips, "damage_of", lambda path, num_frames: None)
    dataset_of(make_video("v", 4), training=False, **options)[0]
    assert backends == [expected]


@pytest.mark.usefixtures("reads")
def test_a_video_of_another_size_than_annotated_is_an_error():
    video = Video("v", Path("v.avi"), 9, height=HEIGHT * 2, width=WIDTH, tubes=(make_tube(range(9)),))
    with pytest.raises(AnnotationError, match=r"v.avi: frames are 6 x 8 .* annotated as 12 x 8"):
        dataset_of(video, training=False)[0]


def test_a_data_set_without_a_video_or_a_box_is_an_error():
    with pytest.raises(AnnotationError, match="hold no video"):
        dataset_of(training=False)
    with pytest.raises(AnnotationError, match="none of the 1 videos has a box"):
        dataset_of(make_video("v", 9))


@pytest.mark.parametrize("position", [-1, 1])
def test_a_position_outside_the_data_set_is_an_index_error(position):
    with pytest.raises(IndexError, match=f"sample {position} of a data set of 1 clips"):
        dataset_of(make_video("v", 9, make_tube(range(9))))[position]


@pytest.mark.usefixtures("reads")
def test_a_loader_gives_the_same_epochs_with_and_without_workers():
    def epochs(workers: int) -> list[torch.Tensor]:
        dataset = dataset_of(make_video("v", 99, make_tube(range(99))), clips_per_video=6, transform=noise)
        sampler = EpochSampler(dataset, seed=4)
        loader = DataLoader(
            dataset,
            batch_size=2,
            sampler=sampler,
            collate_fn=clips.collate_clips,
            num_workers=workers,
            persistent_workers=workers > 0,
            multiprocessing_context="fork" if workers else None,  # so that workers see the replaced decoder
        )
        found = []
        for epoch in range(2):
            sampler.set_epoch(epoch)
            found.append(torch.stack([clip.frames for batch in loader for clip in batch]))
        return found

    alone = epochs(0)
    assert not torch.equal(alone[0], alone[1])
    assert all(torch.equal(a, b) for a, b in zip(alone, epochs(2), strict=True))


@pytest.mark.usefixtures("reads")
def test_a_loader_with_workers_that_balances_gives_the_clips_of_one_without():
    videos = [make_video(f"v{n}", 30, make_tube(range(30), label=int(n > 0))) for n in range(4)]

    def keyframes(workers: int) -> list[tuple[str, int]]:
        dataset = dataset_of(*videos, clips_per_video=5, balance="class")
        context = "fork" if workers else None
        loader = DataLoader(
            dataset, 4, collate_fn=clips.collate_clips, num_workers=workers, multiprocessing_context=context
        )
        return [(clip.video_key, int(clip.frame_indices[2])) for batch in loader for clip in batch]

    alone = keyframes(0)
    assert alone == keyframes(2)
    assert 9 <= sum(key == "v0" for key, _ in alone) <= 11  # the only one of its class


@pytest.mark.usefixtures("reads")
@pytest.mark.parametrize("balance", ["tube", "sqrt", "class"])
def test_a_balanced_clip_has_the_drawn_actor_on_its_keyframe(balance):
    video = make_video("v", 40, make_tube(range(5), id=0, label=0), make_tube(range(30, 33), id=1, label=1))
    found = [clip.labels[clip.valid[:, 2]].tolist() for clip in dataset_of(video, clips_per_video=10, balance=balance)]
    assert found == [[0]] * 5 + [[1]] * 5


def test_a_clip_of_many_actors_is_decoded_once(reads):
    video = make_video("v", 9, *(make_tube(range(9), id=i) for i in range(5)))
    clip = dataset_of(video, balance="tube")[0]
    assert len(clip.labels) == 5
    assert len(reads) == 1


@pytest.mark.parametrize("transform_on", ["worker", "device"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.usefixtures("reads")
def test_where_a_clip_is_transformed_changes_nothing_in_it(transform_on, training):
    video = make_video("v", 9, make_tube(range(9)), masks=True)
    options = {"training": training, "with_masks": True, "transform": transforms.TrainTransform((5, 7))}
    expected = dataset_of(video, **options)[0]
    sample = dataset_of(video, transform_on=transform_on, **options)[0]
    for _ in range(2):
        clip = sample.pixels_to("cpu")
        assert torch.equal(clip.frames, expected.frames)
        assert torch.equal(clip.boxes, expected.boxes)
        assert torch.equal(clip.actor_masks, expected.actor_masks)


@pytest.mark.parametrize("options", [{"balance": "classes"}, {"transform_on": "gpu"}, {"max_bad_share": 1.5}])
def test_settings_out_of_range_are_an_error(options):
    ((name, value),) = options.items()
    with pytest.raises((ConfigError, TypeCheckError), match=f"{name}.*{value}"):  # the second where types are checked
        dataset_of(make_video("v", 9, make_tube(range(9))), **options)


def test_clips_of_each_video_are_not_counted_where_classes_are_balanced():
    with pytest.raises(ConfigError, match="balance 'class'"):
        dataset_of(make_video("v", 9, make_tube(range(9))), balance="class").num_clips  # noqa: B018


def test_collating_keeps_the_clips_and_can_be_pickled():
    assert clips.collate_clips(()) == []
    assert pickle.loads(pickle.dumps(clips.collate_clips)) is clips.collate_clips


@pytest.mark.parametrize("settings", [{}, {"step": 3}, {"stride": 2, "step": 5}, {"training": True}])
def test_clips_of_each_video_are_counted(settings):
    videos = [make_video(f"v{n}", n, make_tube(range(1))) for n in (1, 8, 9, 30)]
    dataset = dataset_of(*videos, num_frames_clip=8, clips_per_video=2, **{"training": False} | settings)
    assert list(dataset.num_clips) == ["v1", "v8", "v9", "v30"]
    assert sum(dataset.num_clips.values()) == len(dataset)
    assert min(dataset.num_clips.values()) >= 1
