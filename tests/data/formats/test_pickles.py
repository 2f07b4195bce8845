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
