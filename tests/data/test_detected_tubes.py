import json

import numpy as np
import pytest

from stal.data.detected_tubes import DetectedVideo, write_detected_tubes
from stal.errors import ConfigError
from stal.structures import Tube


def video(tubes=(), has_fixed_rate=True, seconds=(0.0, 0.1, 0.2, 0.5)):
    return DetectedVideo("a.mp4", 240, 320, 10.0, has_fixed_rate, np.array(seconds), ("walk", "jump"), tubes)


def test_tubes_are_written_with_their_frames_and_times(tmp_path):
    boxes = np.array([[1, 2, 3.123456, 4], [1, 2, 3, 5]], np.float32)
    write_detected_tubes(video([Tube(1, np.array([2, 3]), boxes, id=7, score=0.75)]), tmp_path / "new" / "tubes.json")
    content = json.loads((tmp_path / "new" / "tubes.json").read_text())
    assert content["tubes"] == [
        {
            "id": 0,
            "label": "jump",
            "score": 0.75,
            "frames": [2, 4],
            "seconds": [0.2, 0.6],
            "boxes": [[1, 2, 3.12, 4], [1, 2, 3, 5]],
        }
    ]
    assert (content["format"], content["version"]) == ("stal-detected-tubes", 1)
    assert (content["num_frames"], content["height"], content["width"], content["fps"]) == (4, 240, 320, 10)
    assert content["classes"] == ["walk", "jump"]


@pytest.mark.parametrize(("fixed", "told"), [(True, None), (False, [0.0, 0.1, 0.2, 0.5])])
def test_the_times_of_frames_are_written_where_the_rate_does_not_tell_them(tmp_path, fixed, told):
    write_detected_tubes(video(has_fixed_rate=fixed), tmp_path / "tubes.json")
    content = json.loads((tmp_path / "tubes.json").read_text())
    assert content["frame_seconds"] == told
    assert content["tubes"] == []


def test_a_file_that_cannot_be_written_is_said(tmp_path):
    with pytest.raises(ConfigError, match="this is a folder"):
        write_detected_tubes(video(), tmp_path)
