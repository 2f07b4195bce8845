import dataclasses
from pathlib import Path

import numpy as np
import pytest

from stal.data.fingerprint import annotations_digest, data_fingerprint, files_digest
from stal.structures import Annotations, Tube, Video

TUBE = Tube(0, np.arange(3), np.tile(np.float32([1, 1, 4, 5]), (3, 1)))
VIDEO = Video("a", Path("a.avi"), 9, 6, 8, tubes=(TUBE,), split="train", scene="beach")


def of(*videos: Video, classes: tuple[str, ...] = ("run", "jump")) -> Annotations:
    return Annotations(classes, videos)


@pytest.mark.parametrize(
    "changes",
    [
        {"key": "b"},
        {"num_frames": 10},
        {"fps": 25.0},
        {"split": "test"},
        {"scene": None},
        {"masks_path": Path("a.npz")},
        {"tubes": ()},
        {"tubes": (dataclasses.replace(TUBE, label=1),)},
        {"tubes": (dataclasses.replace(TUBE, frames=np.arange(1, 4)),)},
        {"tubes": (dataclasses.replace(TUBE, boxes=TUBE.boxes + np.float32(1e-6)),)},
        {"tubes": (TUBE, dataclasses.replace(TUBE, id=1))},
    ],
    ids=str,
)
def test_the_digest_of_annotations_changes_with_all_that_they_say(changes):
    assert annotations_digest(of(dataclasses.replace(VIDEO, **changes))) != annotations_digest(of(VIDEO))


def test_the_order_of_videos_and_classes_counts():
    other = dataclasses.replace(VIDEO, key="b")
    digests = {annotations_digest(a) for a in (of(), of(VIDEO), of(VIDEO, other), of(other, VIDEO))}
    assert len(digests) == 4
    assert annotations_digest(of(VIDEO, classes=("jump", "run"))) != annotations_digest(of(VIDEO))


def test_annotations_are_the_same_wherever_the_videos_lie():
    moved = dataclasses.replace(VIDEO, path=Path("elsewhere/a.avi"))
    assert annotations_digest(of(moved)) == annotations_digest(of(VIDEO))


def test_the_digest_of_files_changes_with_their_sizes(tmp_path):
    file, folder = tmp_path / "a.avi", tmp_path / "b"
    videos = of(dataclasses.replace(VIDEO, path=file), dataclasses.replace(VIDEO, key="b", path=folder))
    digests = [files_digest(videos)]  # neither is there
    file.write_bytes(b"12")
    digests.append(files_digest(videos))
    folder.mkdir()
    (folder / "0.png").write_bytes(b"1")
    digests.append(files_digest(videos))
    (folder / "0.png").write_bytes(b"123")
    digests.append(files_digest(videos))
    assert len(set(digests)) == 4
    (folder / "0.png").write_bytes(b"456")
    assert files_digest(videos) == digests[-1]
    assert data_fingerprint(videos) == {"annotations": annotations_digest(videos), "files": digests[-1]}
