import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from stal.data import clips, transforms
from stal.errors import AnnotationError
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

    def read_frames(path, indices, *, num_frames=None, backend="pyav"):
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
    tubes = make_tube(range(2), id=9), make_tube(range(4), id=4, box=(5, 0, 7, 4))
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

    def read_frames(path, indices, *, num_frames, backend):
        backends.append(backend)
        return np.zeros((len(indices), HEIGHT, WIDTH, 3), np.uint8)

    monkeypatch.setattr(clips, "read_frames", read_frames)
    dataset_of(make_video("v", 4), training=False, **options)[0]
    assert backends == [expected]


@pytest.mark.usefixtures("reads")
def test_a_video_of_another_size_than_annotated_is_an_error():
    video = Video("v", Path("v.avi"), 9, height=HEIGHT * 2, width=WIDTH, tubes=(make_tube(range(9)),))
    with pytest.raises(AnnotationError, match=r"v.avi: frames are 6 x 8 .* annotated as 12 x 8"):
        dataset_of(video)[0]


def test_a_data_set_without_a_video_or_a_box_is_an_error():
    with pytest.raises(AnnotationError, match="hold no video"):
        dataset_of(training=False)
    with pytest.raises(AnnotationError, match="none of the 1 videos has a box"):
        dataset_of(make_video("v", 9))


@pytest.mark.parametrize("position", [-1, 1])
def test_a_position_outside_the_data_set_is_an_index_error(position):
    with pytest.raises(IndexError, match=f"sample {position} of a data set of 1 clips"):
        dataset_of(make_video("v", 9, make_tube(range(9))))[position]


def test_every_epoch_has_every_index_once_in_another_order_with_other_seeds():
    sampler = clips.EpochSampler(range(20), seed=1)
    first = list(sampler)
    assert first == list(sampler)
    assert sorted(index for index, _ in first) == list(range(20)) and len(sampler) == 20
    sampler.set_epoch(1)
    second = list(sampler)
    assert [index for index, _ in second] != [index for index, _ in first]
    assert not {seed for _, seed in first} & {seed for _, seed in second}
    assert list(clips.EpochSampler(range(20), seed=2)) != first


def test_processes_share_an_epoch_evenly(monkeypatch):
    alone = list(clips.EpochSampler(range(7), seed=3))
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 3)
    shares = []
    for rank in range(3):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        sampler = clips.EpochSampler(range(7), seed=3)
        shares.append(list(sampler))
        assert len(sampler) == len(shares[-1]) == 3
    together = [pair for pairs in zip(*shares, strict=True) for pair in pairs]
    assert together[:7] == alone
    assert [index for index, _ in together[7:]] == [index for index, _ in alone[:2]]
    assert len({seed for _, seed in together}) == 9


@pytest.mark.usefixtures("reads")
def test_a_loader_gives_the_same_epochs_with_and_without_workers():
    def epochs(workers: int) -> list[torch.Tensor]:
        dataset = dataset_of(make_video("v", 99, make_tube(range(99))), clips_per_video=6, transform=noise)
        sampler = clips.EpochSampler(dataset, seed=4)
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
