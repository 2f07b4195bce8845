"""What the structures refuse, with which words, and how they show themselves."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch
from torch.utils.data._utils.pin_memory import pin_memory

from stal.errors import AnnotationError, ShapeError
from stal.structures import Annotations, Clip, ClipBatch, Detections, Tube, Video

CHANNELS, FRAMES, HEIGHT, WIDTH = 3, 2, 4, 6
BOX = [1.0, 2.0, 5.0, 4.0]

BAD_BOXES = [
    [5.0, 2.0, 5.0, 4.0],  # touching sides: half-open, so nothing is inside
    [1.0, 4.0, 5.0, 4.0],
    [5.0, 2.0, 1.0, 4.0],
    [1.0, 2.0, float("nan"), 4.0],
    [1.0, 2.0, float("inf"), 4.0],
]


@pytest.fixture(autouse=True)
def unchecked_signatures() -> Iterator[None]:
    """Let wrong shapes through to the structures' own checks, as outside of the tests."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def tube(num_frames: int = 2, **changes: Any) -> Tube:
    fields = {"label": 1, "frames": np.arange(num_frames), "boxes": np.array([BOX] * num_frames, np.float32)}
    return Tube(**{**fields, **changes})


def video(**changes: Any) -> Video:
    return Video(**{"key": "a", "path": Path("a.mp4"), "num_frames": 2, "height": HEIGHT, "width": WIDTH, **changes})


def detections(num: int = 2, **changes: Any) -> Detections:
    fields = {
        "frames": np.arange(num),
        "boxes": np.array([BOX] * num, np.float32).reshape(-1, 4),
        "labels": np.zeros(num, np.int64),
        "scores": np.linspace(0.1, 0.9, num),
    }
    return Detections(**{**fields, **changes})


def clip(num_actors: int = 1, masks: bool = True, **changes: Any) -> Clip:
    fields = {
        "frames": torch.zeros(CHANNELS, FRAMES, HEIGHT, WIDTH, dtype=torch.uint8),
        "boxes": torch.tensor(BOX).repeat(num_actors, FRAMES, 1),
        "valid": torch.ones(num_actors, FRAMES, dtype=torch.bool),
        "labels": torch.arange(num_actors),
        "actor_masks": torch.ones(num_actors, FRAMES, HEIGHT, WIDTH, dtype=torch.bool) if masks else None,
        "video_key": "a",
        "frame_indices": torch.arange(FRAMES),
        "to_video": torch.tensor([1.0, 1.0, 0.0, 0.0]),
        "video_size": (HEIGHT, WIDTH),
    }
    return Clip(**{**fields, **changes})


def batch(*num_actors: int) -> ClipBatch:
    return ClipBatch.from_clips([clip(n) for n in num_actors])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": -1}, r"tube 0 \(class -1\): the label is negative; classes are 0-based"),
        ({"num_frames": 0, "boxes": np.zeros((0, 4), np.float32)}, "a tube has at least one frame"),
        ({"num_frames": 3, "boxes": np.array([BOX] * 2, np.float32)}, r"frames \(3,\) and boxes \(2, 4\)"),
        ({"frames": np.array([-1, 0])}, r"0-based and strictly increasing, got \[-1, 0\]"),
        ({"frames": np.array([3, 3])}, r"strictly increasing, got \[3, 3\]"),
        ({"frames": np.array([4, 3])}, r"strictly increasing, got \[4, 3\]"),
        *(({"num_frames": 1, "boxes": np.array([box], np.float32)}, "box 0 is .* x1 < x2") for box in BAD_BOXES),
        ({"boxes": np.array([BOX, BAD_BOXES[0]], np.float32)}, "box 1 is .* and 1 of 2 boxes are like it"),
    ],
)
def test_a_tube_refuses(changes: dict, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        tube(**changes)


def test_a_tube_may_have_one_frame_or_gaps() -> None:
    assert len(tube(1)) == 1
    assert len(tube(frames=np.array([0, 7]))) == 2


@pytest.mark.parametrize(
    ("frames", "valid"), [([], []), ([3], [True]), ([0, 3, 4, 5, 9, 3], [False, True, False, True, False, True])]
)
def test_a_tube_has_boxes_on_its_frames_alone(frames: list[int], valid: list[bool]) -> None:
    boxes, has_box = tube(frames=np.array([3, 5])).boxes_at(np.array(frames, np.int64))
    assert has_box.tolist() == valid
    assert boxes.tolist() == [BOX if there else [0] * 4 for there in valid]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_frames": 0}, "video a: 0 frames of 4 x 6: all must be positive"),
        ({"height": 0}, "2 frames of 0 x 6"),
        ({"width": -1}, "2 frames of 4 x -1"),
        ({"tubes": (tube(id=3), tube(id=3))}, r"tube ids \[3, 3\] are not unique"),
        ({"tubes": (tube(id=7), tube(id=254)), "masks_path": "a.npz"}, r"video a: tube id 254 is not among 0 to 253"),
        ({"tubes": (tube(id=2**40),), "masks_path": "a.npz"}, r"tube id 1099511627776 .*\(a.npz\) can name; number"),
        ({"tubes": (tube(id=-1),), "masks_path": "a.npz"}, r"tube id -1 is not among"),
        ({"tubes": (tube(3),)}, r"box on frame 2, but .* 2 frames \(0 to 1\); are its frames 1-based"),
    ],
)
def test_a_video_refuses(changes: dict, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        video(**changes)


def test_a_video_may_have_no_tubes_or_one_that_ends_with_it() -> None:
    assert video().tubes == ()
    assert len(video(tubes=(tube(2),)).tubes) == 1


def test_any_tube_id_may_be_that_of_a_video_without_silhouettes() -> None:
    assert video(tubes=(tube(id=2**40),)).tubes[0].id == 2**40
    assert video(tubes=(tube(id=0), tube(id=253)), masks_path=Path("a.npz")).masks_path == Path("a.npz")


@pytest.mark.parametrize(
    ("labels", "of_tubes", "expected"),
    [((), (), ()), ((2,), (), (2,)), ((), (1, 1), (1,)), ((3, 0), (1,), (0, 1, 3)), ((1,), (1,), (1,))],
)
def test_a_video_shows_what_it_and_its_tubes_are_labelled_with(
    labels: tuple[int, ...], of_tubes: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    tubes = tuple(tube(label=label, id=number) for number, label in enumerate(of_tubes))
    assert video(labels=labels, tubes=tubes).label_set == expected


@pytest.mark.parametrize(
    ("classes", "videos", "message"),
    [
        (("run",), (video(), video()), "video a is annotated twice"),
        (("run",), (video(tubes=(tube(),)),), r"class 1, but there are 1 classes \(0 to 0\): run; .* 1-based"),
        (("run",), (video(labels=(0, 1)),), r"it is labelled with class 1, but there are 1 classes \(0 to 0\)"),
        (("run",), (video(labels=(-1,)),), "it is labelled with class -1"),
    ],
)
def test_annotations_refuse(classes: tuple, videos: tuple, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        Annotations(classes, videos)


def test_annotations_are_selected_by_split() -> None:
    annotations = Annotations(("run", "jump"), (video(split="train", tubes=(tube(),)), video(key="b", split="test")))
    assert [v.key for v in annotations.of_split("test").videos] == ["b"]
    assert annotations.of_split("test").classes == annotations.classes
    with pytest.raises(AnnotationError, match=r"no video has split 'val'; the splits are \['test', 'train'\]"):
        annotations.of_split("val")
    with pytest.raises(AnnotationError, match=r"the splits are \[\]"):
        Annotations((), ()).of_split("train")


@pytest.mark.parametrize(
    ("scenes", "expected"),
    [([], ()), ([None], ()), (["beach"], ("beach",)), (["street", None, "beach", "street"], ("beach", "street"))],
)
def test_scenes_are_the_sorted_names_that_videos_give(scenes: list[str | None], expected: tuple[str, ...]) -> None:
    videos = tuple(video(key=str(number), scene=scene) for number, scene in enumerate(scenes))
    assert Annotations((), videos).scenes == Annotations((), videos[::-1]).scenes == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.zeros(1, np.int64)}, r"must be \(N,\), \(N, 4\), \(N,\), \(N,\) of the same N"),
        ({"boxes": np.zeros((3, 4), np.float32)}, "of the same N"),
        ({"num": 0, "scores": np.zeros(1)}, "of the same N"),
        ({"scores": np.array([0.5, np.nan])}, "score nan at row 1: scores must be finite"),
        ({"frames": np.array([0, -1])}, "a frame or a label is negative; both are 0-based"),
        ({"labels": np.array([-1, 0])}, "a frame or a label is negative"),
        *(({"num": 1, "boxes": np.array([box], np.float32)}, "detections: box 0 is") for box in BAD_BOXES),
    ],
)
def test_detections_refuse(changes: dict, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        detections(**changes)


@pytest.mark.parametrize("counts", [[], [0], [1], [0, 2, 1]])
def test_detections_are_put_together_in_order(counts: list[int]) -> None:
    parts = [detections(count) for count in counts]
    together = Detections.concatenate(parts)
    assert len(together) == sum(counts)
    assert together.frames.tolist() == [frame for part in parts for frame in part.frames.tolist()]


@pytest.mark.parametrize(
    ("index", "frames"), [(np.array([2, 0]), [2, 0]), (np.array([False] * 3), []), (slice(1, 2), [1])]
)
def test_rows_of_detections_are_selected(index: Any, frames: list[int]) -> None:
    assert detections(3)[index].frames.tolist() == frames


@pytest.mark.parametrize("num_actors", [0, 1, 2])
def test_a_clip_has_any_number_of_actors(num_actors: int) -> None:
    assert len(clip(num_actors).labels) == len(clip(num_actors, masks=False).labels) == num_actors


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"boxes": torch.zeros(2, FRAMES, 4)},
            r"boxes \(2, 2, 4\) and valid \(1, 2\) must be \(1, 2, 4\) and \(1, 2\)",
        ),
        ({"valid": torch.ones(1, 3, dtype=torch.bool)}, r"valid \(1, 3\)"),
        ({"labels": torch.arange(2)}, "for 2 labels and 2 frames"),
        ({"num_actors": 0, "boxes": torch.zeros(1, FRAMES, 4)}, "for 0 labels"),
        (
            {"actor_masks": torch.ones(1, FRAMES, WIDTH, HEIGHT, dtype=torch.bool)},
            r"actor_masks bool\[1, 2, 6, 4\] must be bool\[1, 2, 4, 6\]",
        ),
        (
            {"actor_masks": torch.ones(1, FRAMES, HEIGHT, WIDTH, dtype=torch.uint8)},
            r"actor_masks uint8\[1, 2, 4, 6\] must be bool",
        ),
        ({"frame_indices": torch.arange(3)}, r"frame_indices \(3,\) and to_video \(4,\) must be \(2,\) and \(4,\)"),
        ({"to_video": torch.zeros(2)}, r"to_video \(2,\) must be"),
    ],
)
def test_a_clip_refuses(changes: dict, message: str) -> None:
    with pytest.raises(ShapeError, match=f"clip of a: .*{message}"):
        clip(**changes)


@pytest.mark.parametrize("num_actors", [(0,), (1,), (2, 0, 1)])
def test_clips_are_stacked_clip_by_clip(num_actors: tuple[int, ...]) -> None:
    stacked = batch(*num_actors)
    assert len(stacked) == len(num_actors)
    assert stacked.clips.shape == (len(num_actors), CHANNELS, FRAMES, HEIGHT, WIDTH)
    assert tuple(len(labels) for labels in stacked.labels) == num_actors
    assert tuple(len(masks) for masks in stacked.actor_masks) == num_actors
    assert stacked.provenance is None and stacked.sources is None


@pytest.mark.parametrize(
    ("clips", "num_masks"),
    [
        ([clip(1), clip(0, masks=False)], [1, 0]),
        ([clip(0, masks=False), clip(0)], [0, 0]),
        ([clip(1), clip(2, masks=False)], None),
        ([clip(0), clip(2, masks=False)], None),
    ],
)
def test_silhouettes_are_kept_if_every_clip_with_actors_has_them(clips: list[Clip], num_masks: list | None) -> None:
    masks = ClipBatch.from_clips(clips).actor_masks
    assert (None if masks is None else [len(m) for m in masks]) == num_masks
    for of_clip in masks or ():
        assert of_clip.shape[1:] == (FRAMES, HEIGHT, WIDTH) and of_clip.dtype == torch.bool


@pytest.mark.parametrize("scenes", [[-1], [-1, -1], [0], [3, -1], [-1, 0, 0]])
def test_a_batch_has_the_scenes_of_its_clips_known_or_not(scenes: list[int]) -> None:
    stacked = ClipBatch.from_clips([clip(0, scene=scene) for scene in scenes]).scenes
    assert stacked is not None and stacked.dtype == torch.int64
    assert stacked.tolist() == scenes


@pytest.mark.parametrize(("labels", "expected"), [([[], [2, 0]], [[], [2, 0]]), ([[1], None], None), ([None], None)])
def test_a_batch_has_the_labels_of_the_videos_if_all_are_known(labels: list, expected: list | None) -> None:
    known = [None if some is None else torch.tensor(some, dtype=torch.int64) for some in labels]
    stacked = ClipBatch.from_clips([clip(1, video_labels=some) for some in known]).video_labels
    assert (stacked if stacked is None else [some.tolist() for some in stacked]) == expected


def test_clips_of_different_sizes_or_no_clips_make_no_batch() -> None:
    wide = clip(0, frames=torch.zeros(CHANNELS, FRAMES, HEIGHT, WIDTH + 1), actor_masks=None)
    with pytest.raises(ShapeError, match=r"the 2 clips have \[\(3, 2, 4, 6\), \(3, 2, 4, 7\)\]"):
        ClipBatch.from_clips([clip(), wide])
    with pytest.raises(ShapeError, match=r"the 0 clips have \[\]"):
        ClipBatch.from_clips([])


def one_and_two(*shape: int, dtype: torch.dtype = torch.int64) -> tuple[torch.Tensor, ...]:
    """Tensors for a clip of one actor and one of two."""
    return torch.zeros(1, *shape, dtype=dtype), torch.zeros(2, *shape, dtype=dtype)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": (torch.zeros(1, dtype=torch.int64),)}, "labels has 1 entries for 2 clips"),
        ({"sources": (torch.zeros(1, dtype=torch.int64),)}, "sources has 1 entries for 2 clips"),
        ({"boxes": one_and_two(3, 4, dtype=torch.float32)}, r"clip 0 has 1 labels and 2 frames, but boxes \(1, 3, 4\)"),
        ({"valid": one_and_two(FRAMES, dtype=torch.bool)[::-1]}, r"clip 0 .* valid \(2, 2\)"),
        ({"labels": one_and_two()[::-1]}, "clip 0 has 2 labels"),
        ({"actor_masks": one_and_two(FRAMES, 1, 1, dtype=torch.bool)}, r"clip 0: actor_masks bool\[1, 2, 1, 1\]"),
        ({"actor_masks": one_and_two(FRAMES, HEIGHT, WIDTH)}, r"clip 0: actor_masks int64\[1, 2, 4, 6\] must be bool"),
        ({"sources": one_and_two()[:1] * 2}, r"clip 1 has 2 labels, but sources \(1,\): an actor has one"),
        ({"label_weights": one_and_two(dtype=torch.float32)[:1]}, "label_weights has 1 entries for 2 clips"),
        (
            {"label_weights": one_and_two(dtype=torch.float32)[::-1]},
            r"clip 0 has 1 labels, but label_weights \(2,\): an actor has one",
        ),
        ({"scenes": torch.zeros(3, dtype=torch.int64)}, "scenes has 3 entries for 2 clips"),
        ({"provenance": torch.zeros(2, FRAMES, HEIGHT, 1)}, r"provenance \(2, 2, 4, 1\) != \(2, 2, 4, 6\)"),
        ({"voxel_sources": torch.zeros(2, HEIGHT, WIDTH)}, r"voxel_sources \(2, 4, 6\) != \(2, 2, 4, 6\)"),
        (
            {"originals": torch.zeros(2, 1, FRAMES, HEIGHT, WIDTH)},
            r"originals \(2, 1, 2, 4, 6\) != \(2, 3, 2, 4, 6\)",
        ),
    ],
)
def test_a_clip_batch_refuses(changes: dict, message: str) -> None:
    with pytest.raises(ShapeError, match=f"clip batch: .*{message}"):
        dataclasses.replace(batch(1, 2), **changes)


def test_a_clip_batch_moves_with_all_that_it_has() -> None:
    volume = torch.zeros(2, FRAMES, HEIGHT, WIDTH, dtype=torch.int16)
    full = dataclasses.replace(
        batch(1, 2),
        provenance=volume,
        sources=one_and_two(),
        voxel_sources=volume,
        label_weights=one_and_two(dtype=torch.float32),
        scenes=torch.tensor([0, -1]),
        video_labels=one_and_two(),
        originals=torch.zeros(2, CHANNELS, FRAMES, HEIGHT, WIDTH),
    )
    moved = full.to("meta")
    for field in dataclasses.fields(ClipBatch):
        value = getattr(moved, field.name)
        assert {v.device.type for v in (value if isinstance(value, tuple) else [value])} == {"meta"}
    unmixed = batch(1).to("cpu")
    assert {getattr(unmixed, name) for name in ("sources", "label_weights", "originals")} == {None}


@pytest.mark.parametrize("masks", [True, False])
def test_the_pixels_of_a_clip_move_and_its_annotation_stays(masks: bool) -> None:
    moved = clip(2, masks=masks).pixels_to("meta")
    assert moved.frames.is_meta
    assert moved.actor_masks is None or moved.actor_masks.is_meta
    assert {moved.boxes.device.type, moved.valid.device.type, moved.labels.device.type} == {"cpu"}


@pytest.mark.parametrize("masks", [True, False])
def test_a_loader_pins_every_tensor_of_its_clips(masks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[torch.Tensor] = []

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        pinned.append(tensor.clone())
        return pinned[-1]

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)  # the real one needs a GPU
    (result,) = pin_memory([clip(1, masks=masks)])
    tensors = [value for value in vars(result).values() if isinstance(value, torch.Tensor)]
    assert len(tensors) == 6 + masks
    assert {id(tensor) for tensor in tensors} == {id(tensor) for tensor in pinned}


@pytest.mark.parametrize(
    ("structure", "text"),
    [
        (tube(), "Tube(label=1, frames=int64[2], boxes=float32[2, 4], id=0, score=None)"),
        (Annotations(("run",), ()), "Annotations(classes=['run'], videos=[])"),
        (
            Annotations(tuple("abcde"), (video(tubes=(tube(),)),) * 1),
            "Annotations(classes=tuple of 5, videos=[Video(key='a', path=PosixPath('a.mp4'), num_frames=2, height=4, "
            "width=6, fps=None, tubes=[Tube(label=1, frames=int64[2], boxes=float32[2, 4], id=0, score=None)], "
            "split='', masks_path=None, scene=None, labels=[], keypoints_path=None)])",
        ),
        (
            Detections.empty(),
            "Detections(frames=int64[0], boxes=float32[0, 4], labels=int64[0], scores=float64[0])",
        ),
        (
            clip(0, masks=False),
            "Clip(frames=uint8[3, 2, 4, 6], boxes=float32[0, 2, 4], valid=bool[0, 2], labels=int64[0], "
            "actor_masks=None, video_key='a', frame_indices=int64[2], to_video=float32[4], video_size=[4, 6], "
            "scene=-1, video_labels=None)",
        ),
        (
            batch(1, 0).to("meta"),
            "ClipBatch(clips=uint8[2, 3, 2, 4, 6]@meta, boxes=[float32[1, 2, 4]@meta, float32[0, 2, 4]@meta], "
            "valid=[bool[1, 2]@meta, bool[0, 2]@meta], labels=[int64[1]@meta, int64[0]@meta], "
            "actor_masks=[bool[1, 2, 4, 6]@meta, bool[0, 2, 4, 6]@meta], provenance=None, sources=None, "
            "voxel_sources=None, label_weights=None, scenes=int64[2]@meta, video_labels=None, originals=None)",
        ),
    ],
)
def test_a_repr_shows_shapes_in_place_of_values(structure: Any, text: str) -> None:
    assert repr(structure) == text
