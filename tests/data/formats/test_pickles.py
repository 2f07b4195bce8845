import collections
import os
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stal.data.formats.pickles import load_pickle
from stal.errors import AnnotationError, DataNotFoundError

ANNOTATION = {
    np.str_("Biking/v_1"): {"numf": np.uint8(3), "label": 2, "boxes": np.arange(12, dtype=np.uint8).reshape(3, 4)},
    "containers": [(1, 2.5, None, True), {3}, frozenset({4}), b"bytes", collections.OrderedDict(a=1)],
}


class Payload:
    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.fixture
def path(tmp_path):
    return tmp_path / "annotations.pkl"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_annotations_of_every_protocol_load(path, protocol):
    path.write_bytes(pickle.dumps(ANNOTATION, protocol=protocol))
    loaded = load_pickle(path)
    np.testing.assert_array_equal(loaded["Biking/v_1"].pop("boxes"), ANNOTATION["Biking/v_1"]["boxes"])
    assert loaded["Biking/v_1"] == {"numf": 3, "label": 2}
    assert loaded["containers"] == ANNOTATION["containers"]


def test_names_of_numpy_1_are_understood(path):
    path.write_bytes(pickle.dumps(np.arange(3), protocol=0).replace(b"numpy._core", b"numpy.core"))
    assert load_pickle(path).tolist() == [0, 1, 2]


def test_texts_of_python_2_are_latin_1(path):
    path.write_bytes(b"U\x04caf\xe9.")
    assert load_pickle(path) == "café"


@pytest.mark.parametrize(
    ("function", "args", "name"),
    [
        (os.system, ("touch hacked",), "posix.system"),
        (eval, ("1",), "builtins.eval"),
        (getattr, (1, "real"), "builtins.getattr"),
        (os.path.join, ("a",), "posixpath.join"),
        (np.load, ("a",), "numpy.load"),
    ],
)
def test_code_is_refused_by_its_name(path, monkeypatch, function, args, name):
    monkeypatch.chdir(path.parent)
    path.write_bytes(pickle.dumps({"a": Payload(function, *args)}))
    with pytest.raises(AnnotationError, match=rf"annotations\.pkl: refused.*`{name}`"):
        load_pickle(path)
    assert not (path.parent / "hacked").exists()


ARRAYS = (
    np.arange(6, dtype=">i2").reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(24, dtype=np.uint8).reshape(2, 3, 4).transpose(2, 0, 1),
    np.array(5, np.uint16),
    np.array([True, False]),
    np.array([["é", "two"]]),
    np.array([b"a", b"bc"]),
)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_of_numbers_and_texts_keep_their_values_types_and_shapes(path, protocol):
    scalars = [np.str_("x"), np.bytes_(b"x"), np.bool_(True), np.float64(0.5), np.int64(-1)]
    path.write_bytes(pickle.dumps([ARRAYS, scalars], protocol=protocol))
    arrays, values = load_pickle(path)
    expected, _ = pickle.loads(path.read_bytes())
    for loaded, array in zip(arrays, expected, strict=True):
        assert (loaded.dtype, loaded.shape, loaded.strides) == (array.dtype, array.shape, array.strides)
        np.testing.assert_array_equal(loaded, array)
    assert [(type(value), value) for value in values] == [(type(scalar), scalar) for scalar in scalars]


def test_arrays_and_texts_may_be_empty(path):
    path.write_bytes(pickle.dumps([np.zeros((0, 4), np.float32), np.str_("")], protocol=3))
    array, text = load_pickle(path)
    assert (array.shape, array.dtype, text) == ((0, 4), np.float32, "")


class StatePayload(Payload):
    """Calls a function, and then gives a state to what it returned."""

    def __init__(self, state, function, *args):
        self.call = function, args, state


@pytest.mark.parametrize(
    "value",
    [
        Payload(np.ndarray, (1,), "O", b"A" * 8),
        StatePayload((1, (1,), np.dtype("O"), False, b"A" * 8), np.ndarray, (0,), "b"),
        np.array([1, "object"], object),
        np.array([(1, 2.5)], dtype=[("a", "u1"), ("b", "f4")]),
        StatePayload((3, "|", None, ("a",), {"a": (np.dtype("u1"), 0)}, 8, 1, 27), np.dtype, "V8"),
        StatePayload((3, "|", None, ("a",), {"a": (np.dtype("u1"), 0)}, 1, 1, 27), np.dtype, "u1"),
        Payload(np._core.multiarray.scalar, np.dtype("U1"), b"\xff\xff\xff\xff"),
        StatePayload((1, (1,), np.dtype("U1"), False, b"\xff\xff\xff\x7f"), np.ndarray, (0,), "b"),
        Payload(np._core.multiarray.scalar, np.dtype("u2"), b"\x01"),
        StatePayload((1, (2**40,), np.dtype("u1"), False, b"A"), np.ndarray, (0,), "b"),
    ],
)
def test_arrays_that_would_break_memory_are_refused(path, value):
    path.write_bytes(pickle.dumps(value))
    with pytest.raises(AnnotationError, match=r"annotations\.pkl: not a whole pickle"):
        load_pickle(path)


def test_bytes_in_another_encoding_are_refused(path):
    for encoding in (b"lat?n1", b"rot-13"):
        path.write_bytes(
            pickle.dumps(b"\xe9", protocol=2).replace(b"\x06\x00\x00\x00latin1", b"\x06\x00\x00\x00" + encoding)
        )
        with pytest.raises(
            AnnotationError, match=rf"not a whole pickle \(ValueError: bytes in the encoding .{encoding[:3].decode()}"
        ):
            load_pickle(path)


def test_a_pickle_cannot_change_what_the_next_one_is_built_with(path):
    for name in ("numpy\ndtype", "numpy\nndarray", "numpy._core.multiarray\nscalar", "collections\nOrderedDict"):
        # gives the function itself the attributes __defaults__ and __kwdefaults__
        state = pickle.dumps((None, {"__defaults__": (1,), "__kwdefaults__": {"a": 1}}), protocol=2)[2:-1]
        path.write_bytes(b"\x80\x02c" + name.encode() + b"\n" + state + b"b.")
        load_pickle(path)
    path.write_bytes(pickle.dumps(ANNOTATION))
    assert load_pickle(path)["Biking/v_1"]["numf"] == 3


def test_every_truncation_is_an_annotation_error(path):
    whole = pickle.dumps(ANNOTATION)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(AnnotationError, match=r"annotations\.pkl: not a whole pickle"):
            load_pickle(path)


@given(noise=st.binary(max_size=200))
def test_random_bytes_never_raise_anything_else(tmp_path_factory, noise):
    path = tmp_path_factory.mktemp("noise") / "annotations.pkl"
    path.write_bytes(noise)
    try:
        load_pickle(path)
    except AnnotationError as error:
        assert "annotations.pkl" in str(error)


def test_a_missing_pickle_is_named(path):
    with pytest.raises(DataNotFoundError, match=r"annotations\.pkl.*data/README\.md"):
        load_pickle(path)


@pytest.mark.data
def test_the_real_annotations_load(shared):
    assert len(load_pickle(shared / "annotations/ucf24/pyannot.pkl")) == 3194
    assert len(load_pickle(shared / "annotations/jhmdb/JHMDB-GT.pkl")["nframes"]) == 928
