"""What every reader of annotations must do, whatever the format: one test for all of them."""

from pathlib import Path

import numpy as np
import pytest

from stal.data.formats.known_formats import FORMATS
from stal.errors import AnnotationError, DataNotFoundError, StalError
from stal.structures import Annotations, Tube


def read(name, sample):
    return FORMATS[name].read(sample.path, **sample.options)


def tubes_in_order(tubes: tuple[Tube, ...]) -> list[Tube]:
    """Formats without identities number the tubes in their own way."""
    return sorted(tubes, key=lambda tube: (tube.label, tube.frames[0], tube.boxes[0].tolist()))


def assert_same_annotations(found: Annotations, expected: Annotations, tolerance: float) -> None:
    assert found.classes == expected.classes
    assert sorted(video.key for video in found.videos) == sorted(video.key for video in expected.videos)
    by_key = {video.key: video for video in found.videos}
    for video in expected.videos:
        other = by_key[video.key]
        facts = (other.num_frames, other.height, other.width, other.split, other.masks_path)
        assert facts == (video.num_frames, video.height, video.width, video.split, video.masks_path), video.key
        assert len(other.tubes) == len(video.tubes), video.key
        for tube, wanted in zip(tubes_in_order(other.tubes), tubes_in_order(video.tubes), strict=True):
            assert tube.label == wanted.label
            assert tube.score is None
            np.testing.assert_array_equal(tube.frames, wanted.frames)
            np.testing.assert_allclose(tube.boxes, wanted.boxes, rtol=0, atol=tolerance)


def test_the_contract_covers_every_format(sample_names):
    assert sorted(sample_names) == sorted(FORMATS)


@pytest.mark.parametrize("name", FORMATS)
def test_a_reader_gives_0_based_frames_and_half_open_pixels(name, write_sample):
    sample = write_sample(name)
    assert_same_annotations(read(name, sample), sample.expected, sample.tolerance)


@pytest.mark.parametrize("name", FORMATS)
def test_a_reader_leaves_its_files_as_they_are(name, write_sample):
    sample = write_sample(name)
    before = {path: path.read_bytes() for path in sample.files}
    first = read(name, sample)
    assert_same_annotations(read(name, sample), first, 0.0)
    assert {path: path.read_bytes() for path in sample.files} == before


@pytest.mark.parametrize("name", FORMATS)
def test_a_path_that_is_not_there_is_named(name, write_sample, tmp_path):
    sample = write_sample(name)
    sample.path = tmp_path / "elsewhere" / "annotation"
    with pytest.raises(DataNotFoundError, match="elsewhere"):
        read(name, sample)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("content", [b"", b"\n\n", b"{}", b"[]", b"\x80\x04.", b"\xff\xfe\x00text", b"<a/>", b"1,2,3"])
def test_content_of_another_kind_is_an_error_that_names_the_file(name, content, write_sample):
    sample = write_sample(name)
    damaged = sample.files[0]
    damaged.write_bytes(content)
    try:
        found = read(name, sample)
    except AnnotationError as error:
        assert damaged.name in str(error)
    else:  # lists of frames and of splits may be empty; nothing but what they held is gone
        num_tubes = sum(len(video.tubes) for video in found.videos)
        assert not content.strip()
        assert num_tubes <= sum(len(video.tubes) for video in sample.expected.videos)


@pytest.mark.parametrize("name", FORMATS)
def test_a_folder_in_place_of_a_file_and_a_file_in_place_of_a_folder_are_errors(name, write_sample, tmp_path):
    sample = write_sample(name)
    other = tmp_path / "other"
    if sample.path.is_dir():
        other.write_text("a file")
    else:
        other.mkdir()
    sample.path = other
    with pytest.raises(StalError, match="other"):
        read(name, sample)


@pytest.mark.parametrize("name", [name for name, format in FORMATS.items() if format.write is not None])
def test_a_written_data_set_is_read_back(name, write_sample, tmp_path):
    sample = write_sample(name)
    out = Path(tmp_path / "out" / sample.path.name)
    FORMATS[name].write(sample.expected, out, **sample.write_options)
    sample.path = out
    assert_same_annotations(read(name, sample), sample.expected, sample.tolerance)
