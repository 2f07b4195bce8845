import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from stal.data.formats import mat_file
from stal.data.formats.mat_file import load_mat
from stal.errors import AnnotationError, DataNotFoundError

HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"


def write(path: Path, compressed: bool = False, **variables: Any) -> Path:
    savemat(path, variables, do_compression=compressed, long_field_names=True)
    return path


def element(kind: int, data: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}II", kind, len(data)) + data + bytes(-len(data) % 8)


def array(array_class: int, shape: tuple[int, ...], *parts: bytes, name: bytes = b"x", order: str = "<") -> bytes:
    """An array as the format has it: flags, shape, name, and then its parts."""
    flags = element(6, struct.pack(f"{order}II", array_class, 0), order)
    sizes = element(5, struct.pack(f"{order}{len(shape)}i", *shape), order)
    return element(14, flags + sizes + element(1, name, order) + b"".join(parts), order)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    "value",
    [
        np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
        np.arange(6, dtype=np.uint16).reshape(3, 2),
        np.array([[-(2**40)]], np.int64),
        np.array([[0.5, np.nan, np.inf]]),
        np.array([[1.5]], np.float32),
        np.zeros((0, 4)),
    ],
)
def test_numbers_keep_their_type_and_shape(tmp_path: Path, value: np.ndarray, compressed: bool) -> None:
    loaded = load_mat(write(tmp_path / "a.mat", compressed, first=1, x=value, last="text"), "x")
    assert (loaded.dtype, loaded.shape) == (value.dtype, value.shape)
    np.testing.assert_array_equal(loaded, value)


def test_texts_structures_and_cells_become_texts_dicts_and_lists(tmp_path: Path) -> None:
    people = np.zeros((1, 2), [("name", "O"), ("a_long_name_of_a_field", "O")])
    people[0] = [("Ann", np.array([[1, 2]])), ("Zoë", np.array([["cell", 7]], object))]
    loaded = load_mat(write(tmp_path / "a.mat", x=people), "x")
    assert [person["name"] for person in loaded] == ["Ann", "Zoë"]
    assert loaded[0]["a_long_name_of_a_field"].tolist() == [[1, 2]]
    assert loaded[1]["a_long_name_of_a_field"][0] == "cell"
    assert loaded[1]["a_long_name_of_a_field"][1].tolist() == [[7]]


def test_numbers_stored_in_a_smaller_type_get_their_own_type_back(tmp_path: Path) -> None:
    (tmp_path / "a.mat").write_bytes(HEADER + array(6, (1, 3), element(2, b"\x01\x02\xff")))
    loaded = load_mat(tmp_path / "a.mat", "x")
    assert loaded.dtype == np.float64
    assert loaded.tolist() == [[1, 2, 255]]


def test_big_endian_files_are_read(tmp_path: Path) -> None:
    data = array(10, (1, 2), element(3, struct.pack(">2h", 1, -2), ">"), order=">")
    (tmp_path / "a.mat").write_bytes(HEADER[:124] + b"\x01\x00MI" + data)
    assert load_mat(tmp_path / "a.mat", "x").tolist() == [[1, -2]]


def nested(depth: int) -> bytes:
    return array(1, (1, 1), nested(depth - 1) if depth else array(6, (0, 0), element(9, b"")))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a MATLAB file of version 5 to 7.2, it starts with b''"),
        (
            b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM",
            "not a MATLAB file of version 5 to 7.2.*save it with `-v7`",
        ),
        (HEADER, r"has no variable 'x'; its variables are \[\]"),
        (HEADER + array(6, (1, 1), element(9, bytes(8)), name=b"y"), r"no variable 'x'; its variables are \['y'\]"),
        (HEADER + b"abc", "3 bytes are too few for an element"),
        (HEADER + array(6, (1, 1), element(9, bytes(8)))[:-8], "an element has 64 bytes where 56 are left"),
        (HEADER + element(9, bytes(8)), "an element of type 9 in place of an array"),
        (HEADER + element(15, b"no zlib data"), "not a whole MATLAB file: Error -3 while decompressing"),
        (HEADER + element(15, zlib.compress(array(6, (0, 0), element(9, b"")))[:-4]), "compressed array is cut off"),
        (HEADER + array(6, (2, 2), element(9, bytes(8))), r"array 'x' of float64 and shape \[2, 2\] has 1 values"),
        (HEADER + array(6, (-1, -1), element(9, bytes(8))), r"shape \[-1, -1\]"),
        (HEADER + array(9, (1, 1), element(9, bytes(8))), "array 'x' of uint8 and shape .* 1 values of float64"),
        (HEADER + array(6, (1,) * 99, element(9, bytes(8))), "array 'x' of float64"),
        (HEADER + array(6, (1, 1)), "an array lacks its last parts"),
        (HEADER + array(6, (1, 1), element(16, b"text")), "4 bytes of type 16 in place of numbers"),
        (HEADER + array(4, (1, 1), element(9, bytes(8))), "8 bytes of type 9 in place of a text"),
        (HEADER + array(4, (1, 1), element(16, b"\xff")), "1 bytes of type 16 in place of a text"),
        (HEADER + array(1, (1, 9)), "array 'x' has 0 parts in place of 9"),
        (
            HEADER + array(2, (1 << 30, 1 << 30), element(5, bytes(4)), b""),
            "array lacks its last parts",
        ),
        (HEADER + array(3, (1, 1)), "array 'x' is of MATLAB's class 3; annotations are real numbers"),
        (HEADER + array(6 | 0x800, (1, 1)), r"class 6 \(complex\)"),
        (HEADER + nested(20), "more than 16 arrays in each other"),
    ],
)
def test_what_is_no_whole_file_is_refused_with_its_place(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(AnnotationError, match=rf"a\.mat: .*{message}"):
        load_mat(tmp_path / "a.mat", "x")


def test_a_small_file_cannot_unpack_to_a_huge_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mat_file, "_MAX_BYTES", 1 << 16)
    path = write(tmp_path / "a.mat", compressed=True, x=np.zeros((1 << 16, 1)))
    with pytest.raises(AnnotationError, match="unpacks to more than"):
        load_mat(path, "x")
    with pytest.raises(AnnotationError, match="that is no annotation file"):
        load_mat(write(tmp_path / "b.mat", x=np.zeros((1 << 16, 1))), "x")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match=r"none\.mat: there is no such annotation file"):
        load_mat(tmp_path / "none.mat", "x")


def _sample(compressed: bool) -> bytes:
    tubes = np.zeros((1, 2), [("sf", "O"), ("boxes", "O")])
    tubes[0] = [(1, np.ones((5, 4), np.uint8)), (2, np.ones((3, 4)))]
    videos = np.zeros((1, 2), [("name", "O"), ("tubes", "O")])
    videos[0] = [("first", tubes), ("second", np.zeros((0, 0)))]
    file = io.BytesIO()
    savemat(file, {"x": videos}, do_compression=compressed)
    return file.getvalue()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0), st.integers(0, 255)), min_size=1, max_size=6),
    length=st.integers(1),
    compressed=st.booleans(),
)
def test_broken_bytes_are_an_annotation_error_at_worst(
    tmp_path: Path, changes: list[tuple[int, int]], length: int, compressed: bool
) -> None:
    data = bytearray(_sample(compressed))
    for position, value in changes:
        data[128 + position % (len(data) - 128)] = value
    (tmp_path / "a.mat").write_bytes(data[: 128 + length % (len(data) - 127)] if length % 3 == 0 else data)
    try:
        load_mat(tmp_path / "a.mat", "x")
    except AnnotationError as error:
        assert "a.mat" in str(error)
