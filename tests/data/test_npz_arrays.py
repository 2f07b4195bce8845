import io
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stal.data.npz_arrays import NpzArrays, read_array
from stal.errors import AnnotationError, DataNotFoundError


def npz_bytes(compressed: bool) -> bytes:
    file = io.BytesIO()
    arrays = {"names": np.array(["a", "b"]), "values": np.arange(6, dtype=np.int16)}
    np.savez_compressed(file, **arrays) if compressed else np.savez(file, **arrays)
    return file.getvalue()


def test_arrays_come_in_the_type_of_their_meaning(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    boxes = [[0, 0, 1, 1e39]]
    np.savez(path, names=["a"], few=np.array([1], np.uint8), scores=np.array([1], np.float16), boxes=boxes, none=[])
    arrays = NpzArrays(path, ["names", "few", "scores", "boxes", "none"])
    assert arrays.names("names") == ("a",)
    assert arrays.integers("few", (1,)).dtype == np.int64
    assert arrays.numbers("scores", (None,)).dtype == np.float64
    assert arrays.boxes("boxes").tolist() == [[0, 0, 1, np.inf]]
    assert arrays.names("none") == ()
    assert arrays.integers("none", (0,)).dtype == np.int64


def test_whole_floats_are_integers(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", few=np.array([-1, 2], np.float16), many=np.array([[2.0**62, 0.0]]))
    arrays = NpzArrays(tmp_path / "a.npz", ["few", "many"])
    for name, shape, values in (("few", (2,), [-1, 2]), ("many", (1, 2), [[2**62, 0]])):
        assert arrays.integers(name, shape).dtype == np.int64
        assert arrays.integers(name, shape).tolist() == values


@pytest.mark.parametrize("value", [0.5, np.nan, -np.inf, 2.0**63])
def test_other_floats_are_no_integers(tmp_path: Path, value: float) -> None:
    np.savez(tmp_path / "a.npz", values=[[1, 1], [1, value]])
    with pytest.raises(
        AnnotationError, match=rf"a\.npz: values, row 1: {re.escape(str(value))} is not a whole number; 1 of 4 values"
    ):
        NpzArrays(tmp_path / "a.npz", ["values"]).integers("values", (None, 2))


def test_bytes_are_utf_8_texts(tmp_path: Path) -> None:
    names = ["a", "Jürgen"]
    encoded = [name.encode() for name in names]
    np.savez(tmp_path / "a.npz", names=encoded, text=b"one", none=np.zeros(0, "S1"), bad=[b"a", b"J\xfcrgen"])
    arrays = NpzArrays(tmp_path / "a.npz", ["names", "text", "none", "bad"])
    assert arrays.names("names") == tuple(names)
    assert arrays.text("text") == "one"
    assert arrays.names("none") == ()
    with pytest.raises(AnnotationError, match=r"a\.npz: bad holds bytes that are not UTF-8, such as b'J.*dtype=str"):
        arrays.names("bad")


@pytest.mark.parametrize("names", [["a", "b"], [b"a", b"b"]])
def test_names_are_not_rows(tmp_path: Path, names: list[str] | list[bytes]) -> None:
    np.savez(tmp_path / "a.npz", det_video=names, rows=[1, 0])
    arrays = NpzArrays(tmp_path / "a.npz", ["det_video", "rows"])
    assert arrays.rows("rows", None, "videos").tolist() == [1, 0]
    with pytest.raises(
        AnnotationError, match=r"det_video holds names, the first is b?'a'; expected the row of each in `videos`"
    ):
        arrays.rows("det_video", None, "videos")


def test_a_folder_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r": this is a folder; name the \.npz file in it"):
        NpzArrays(tmp_path, [])


def test_only_what_is_asked_for_is_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", objects=np.array([None], dtype=object), values=[1])
    arrays = NpzArrays(tmp_path / "a.npz", ["values", "more"])
    assert "values" in arrays
    assert "objects" not in arrays
    assert arrays.present == ["objects", "values"]
    with pytest.raises(
        AnnotationError, match=r"a\.npz: arrays \['more'\] are missing; there are \['objects', 'values'\]"
    ):
        arrays.require(["values", "more"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"the file is empty \(0 bytes\)"),
        (b"text", "not an .npz file"),
        (b"PK\x03\x04broken", "not an .npz file"),
        (npz_bytes(compressed=True)[:-30], "not an .npz file .* cut off"),
    ],
)
def test_a_file_that_is_no_npz_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(AnnotationError, match=rf"a\.npz: {message}"):
        NpzArrays(tmp_path / "a.npz", ["values"])


def test_a_single_array_and_one_of_objects_are_refused(tmp_path: Path) -> None:
    with (tmp_path / "a.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(AnnotationError, match=r"a\.npz: not an \.npz file"):
        NpzArrays(tmp_path / "a.npz", ["values"])
    np.savez(tmp_path / "b.npz", values=np.array([1, None], dtype=object))
    with pytest.raises(AnnotationError, match=r"b\.npz: values cannot be read: .* not of dtype object"):
        NpzArrays(tmp_path / "b.npz", ["values"])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match=r"a\.npz: there is no such"):
        NpzArrays(tmp_path / "a.npz", [])


@given(data=st.data(), compressed=st.booleans())
def test_damaged_bytes_never_raise_anything_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, compressed: bool
) -> None:
    content = bytearray(npz_bytes(compressed))
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=3)):
        content[position] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "a.npz"
    path.write_bytes(content)
    try:
        NpzArrays(path, ["names", "values"])
    except AnnotationError as error:
        assert "a.npz" in str(error)


def save_npy(folder: Path, shape: str, dtype: str = "'|u1'", method: int = zipfile.ZIP_STORED) -> Path:
    """Write an .npz whose array `x` says any shape and type, with the 40 values of another one."""
    header = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    with zipfile.ZipFile(folder / "a.npz", "w", method) as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(range(40)))
    return folder / "a.npz"


def test_an_array_of_known_shape_is_read(tmp_path: Path) -> None:
    expected = np.arange(40, dtype=np.uint8).reshape(2, 4, 5)
    np.testing.assert_array_equal(read_array(save_npy(tmp_path, "(2,4,5)"), "x", (2, 4, 5), np.uint8), expected)
    np.savez(tmp_path / "b.npz", x=np.asfortranarray(expected))
    np.testing.assert_array_equal(read_array(tmp_path / "b.npz", "x", (2, 4, 5), np.uint8), expected)


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        (
            "(100000,100000,100000)",
            "'|u1'",
            r"x are uint8 \(100000, 100000, 100000\), but the video needs uint8 \(2, 4, 5\)",
        ),
        (f"({2**70},)", "'|u1'", "x are uint8"),
        ("(-1,4,5)", "'|u1'", r"x are uint8 \(-1, 4, 5\)"),
        ("(2,4,5)", "'<f4'", r"x are float32 \(2, 4, 5\)"),
        ("(2,4,5)", "'O'", "x are object"),
        ("(2,4,5)", "[('a','u1')]", "x are .*a.*u1"),
        ("(2,4,5", "'|u1'", "not a .npz file with an array `x`"),
        ("(2.0,4,5)", "'|u1'", "not a .npz file with an array `x`"),
        ("(2,4,5)", "'no'", "not a .npz file with an array `x`"),
    ],
)
def test_a_header_is_refused_before_its_values_are_read(tmp_path: Path, shape: str, dtype: str, message: str) -> None:
    with pytest.raises(AnnotationError, match=rf"a\.npz: .*{message}"):
        read_array(save_npy(tmp_path, shape, dtype), "x", (2, 4, 5), np.uint8)


@pytest.mark.parametrize(("place", "value"), [(8, 99), (6, 1)], ids=["unknown method", "encrypted"])
def test_parts_that_cannot_be_unpacked_are_errors(tmp_path: Path, place: int, value: int) -> None:
    path = save_npy(tmp_path, "(2,4,5)")
    content = bytearray(path.read_bytes())
    content[place] = content[content.index(b"PK\x01\x02") + place + 2] = value
    path.write_bytes(content)
    with pytest.raises(AnnotationError, match=r"a\.npz: not a \.npz file with an array `x`"):
        read_array(path, "x", (2, 4, 5), np.uint8)


def test_bad_headers_are_errors_of_all_arrays(tmp_path: Path) -> None:
    for shape in ("(2,4,5", f"({2**70},)"):
        with pytest.raises(AnnotationError, match=r"a\.npz: x cannot be read"):
            NpzArrays(save_npy(tmp_path, shape), ["x"])
