"""Readers against files that are broken or made to do harm: nothing but errors of stal comes out, and no code runs."""

import json
import pickle
import random
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from scipy.io import savemat

from stal.data.formats.known_formats import FORMATS
from stal.data.ground_truth import read_ground_truth
from stal.data.masks import read_masks
from stal.errors import AnnotationError, StalError
from stal.structures import Video

FUZZ = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
JSON_FORMATS = ("stal", "via3", "coco-video")
PICKLES = ("ucf24-pickle", "act-pickle")


def read(name, sample):
    return FORMATS[name].read(sample.path, **sample.options)


def damage(content: bytes, generator: random.Random) -> bytes:
    """Cut, change, repeat, or insert a few bytes."""
    data = bytearray(content)
    for _ in range(generator.choice([1, 1, 2, 8])):
        place, length = generator.randrange(len(data) + 1), generator.choice([1, 1, 2, 40])
        match generator.randrange(5):
            case 0:
                del data[place:]
            case 1:
                del data[place : place + length]
            case 2:
                data[place : place + length] = generator.randbytes(length)
            case 3:
                data[place:place] = data[place : place + length] * 3
            case _:
                data[place : place + 1] = generator.choice(
                    [b"-", b"9" * 30, b"1e999", b"nan", b'"', b"\x00", b"<", b"\xff"]
                )
    return bytes(data)


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_bytes_raise_nothing_but_errors_of_stal(name, write_sample):
    sample = write_sample(name)
    contents = {path: path.read_bytes() for path in sample.files}

    @seed(0)
    @FUZZ
    @given(st.randoms(use_true_random=False))
    def run(generator):
        path = generator.choice(sample.files)
        path.write_bytes(damage(contents[path], generator))
        try:
            read(name, sample)
        except StalError as error:
            assert str(error)
        finally:
            path.write_bytes(contents[path])

    run()


ODD_VALUES = (
    None,
    True,
    -1,
    0,
    1.5,
    10**400,
    float("nan"),
    float("inf"),
    -1e308,
    "",
    "x",
    "-1",
    [],
    [[]],
    {},
    {"a": 1},
)


def places(value, place=()):
    """Every place in a tree of dicts and lists."""
    yield place
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, child in children:
        yield from places(child, (*place, key))


def replaced(value, place, new):
    """A copy of a tree with another value at a place, or without it if `new` is `...`."""
    if not place:
        return new
    key, *rest = place
    if isinstance(value, dict):
        changed = {k: replaced(v, rest, new) if k == key else v for k, v in value.items()}
    else:
        changed = [replaced(v, rest, new) if i == key else v for i, v in enumerate(value)]
    if new is ... and not rest:
        changed = {k: v for k, v in changed.items() if v is not ...} if isinstance(changed, dict) else changed[:key]
    return changed


@pytest.mark.parametrize("name", JSON_FORMATS)
def test_json_of_a_wrong_shape_names_the_path_to_the_value(name, write_sample):
    sample = write_sample(name)
    document = json.loads(sample.path.read_text())
    everywhere = list(places(document))

    @seed(0)
    @settings(FUZZ, max_examples=200)
    @given(st.sampled_from(everywhere), st.sampled_from([*ODD_VALUES, ...]))
    def run(place, value):
        sample.path.write_text(json.dumps(replaced(document, place, None if value is ... and not place else value)))
        try:
            read(name, sample)
        except StalError as error:
            assert sample.path.name in str(error)

    run()


@pytest.mark.parametrize("name", PICKLES)
def test_pickled_values_of_a_wrong_kind_are_errors_of_stal(name, write_sample):
    sample = write_sample(name)
    raw = pickle.loads(sample.path.read_bytes())
    everywhere = list(places(raw))
    odd_arrays = (np.zeros((0, 5)), np.full((3, 5), np.nan), np.zeros((3, 4), np.complex64), np.zeros(3, "U5"))

    @seed(0)
    @settings(FUZZ, max_examples=200)
    @given(st.sampled_from(everywhere), st.sampled_from([*range(len(ODD_VALUES) + len(odd_arrays)), ...]))
    def run(place, choice):
        value = None if choice is ... else [*ODD_VALUES, *odd_arrays][choice]
        sample.path.write_bytes(pickle.dumps(replaced(raw, place, value)))
        try:
            read(name, sample)
        except StalError as error:
            assert sample.path.name in str(error)

    run()


def shared_lists():
    """A list that holds the one before it twice, forty times over: 2 ** 40 paths lead through it."""
    value = ["x"]
    for _ in range(40):
        value = [value, value]
    return value


def endless_list():
    """A list that holds itself."""
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize("name", PICKLES)
@pytest.mark.parametrize("make", [shared_lists, endless_list])
def test_lists_that_never_end_are_errors_at_once(name, make, write_sample):
    sample = write_sample(name)
    raw = pickle.loads(sample.path.read_bytes())
    for place in places(raw):
        sample.path.write_bytes(pickle.dumps(replaced(raw, place, make())))
        with pytest.raises(StalError, match=sample.path.name):
            read(name, sample)
        with suppress(StalError):  # of ACT's pickle only the test videos are looked at
            read_ground_truth(sample.path)


@pytest.mark.parametrize("name", PICKLES)
def test_pickles_that_are_nested_deeply_do_no_harm(name, write_sample):
    sample = write_sample(name)
    raw = pickle.loads(sample.path.read_bytes())
    deep = b"]" * 100_000 + b"a" * 99_999  # pickle itself would not write it
    contents = [pickle.PROTO + b"\x02" + deep + b"."]
    for key in ("Biking/v_Biking_g09_c09", *raw):
        text = pickle.BINUNICODE + len(key).to_bytes(4, "little") + key.encode()
        contents.append(pickle.dumps(raw, protocol=2)[:-1] + text + deep + pickle.SETITEM + b".")
    num_refused = 0
    for content in contents:
        sample.path.write_bytes(content)
        for read_file in (FORMATS[name].read, read_ground_truth):
            try:
                read_file(sample.path)  # what stands under a key that nobody looks at is no error
            except StalError as error:
                num_refused += 1
                assert sample.path.name in str(error)
    assert num_refused >= 2


@pytest.mark.parametrize("name", PICKLES)
@pytest.mark.parametrize("number", [10**5000, -(10**5000)], ids=["positive", "negative"])
def test_numbers_that_python_does_not_write_are_errors(name, number, write_sample):
    sample = write_sample(name)
    raw = pickle.loads(sample.path.read_bytes())
    for place in places(raw):
        sample.path.write_bytes(pickle.dumps(replaced(raw, place, number)))
        with pytest.raises(StalError, match=sample.path.name):
            read(name, sample)


def masks_npz(folder: Path) -> Path:
    np.savez_compressed(folder / "masks.npz", masks=np.ones((3, 4, 5), np.uint8))
    return folder / "masks.npz"


def masks_mat(folder: Path) -> Path:
    savemat(folder / "masks.mat", {"part_mask": np.ones((4, 5, 3), np.uint8)}, do_compression=True)
    return folder / "masks.mat"


@pytest.mark.parametrize("write", [masks_npz, masks_mat])
def test_damaged_masks_raise_nothing_but_errors_of_stal(write, tmp_path):
    path = write(tmp_path)
    video = Video("a", Path("a.mp4"), 3, 4, 5, masks_path=path)
    content = path.read_bytes()
    assert read_masks(video, [0, 2]).all()

    @seed(0)
    @settings(FUZZ, max_examples=300)
    @given(st.randoms(use_true_random=False))
    def run(generator):
        path.write_bytes(damage(content, generator))
        try:
            read_masks(video, [0])
        except StalError as error:
            assert path.name in str(error)

    run()


class Payload:
    """Unpickled, it would make a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("name", PICKLES)
def test_a_pickle_that_asks_for_other_globals_is_refused_by_name(name, write_sample, tmp_path):
    sample = write_sample(name)
    raw = pickle.loads(sample.path.read_bytes())
    sample.path.write_bytes(pickle.dumps(raw | {"x": Payload(tmp_path / "ran")}))
    with pytest.raises(AnnotationError, match=r"refused, because it asks for `(pathlib|builtins)\."):
        read(name, sample)
    assert not (tmp_path / "ran").exists()


BOMB = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
HOSTILE_XML = {
    "entity expansion": f'<!DOCTYPE a [<!ENTITY l0 "lol">{BOMB}]><a>&l9;</a>',
    "external entity": '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>',
    "parameter entity": '<!DOCTYPE a [<!ENTITY % x SYSTEM "http://localhost:1/x.dtd"> %x;]><a/>',
}


@pytest.mark.parametrize("name", ["xgtf", "cvat"])
@pytest.mark.parametrize("content", HOSTILE_XML.values(), ids=HOSTILE_XML)
def test_xml_with_entities_is_refused(name, content, write_sample):
    sample = write_sample(name)
    sample.files[0].write_text(f'<?xml version="1.0"?>{content}')
    with pytest.raises(AnnotationError, match=f"{sample.files[0].name}.*(entit|refused)"):
        read(name, sample)


@pytest.mark.parametrize("name", ["xgtf", "cvat"])
def test_xml_that_is_nested_deeply_is_an_error(name, write_sample):
    sample = write_sample(name)
    sample.files[0].write_text("<a>" * 200_000 + "</a>" * 200_000)
    with pytest.raises(AnnotationError, match=sample.files[0].name):
        read(name, sample)


@pytest.mark.parametrize("name", JSON_FORMATS)
def test_json_that_is_nested_deeply_is_an_error(name, write_sample):
    sample = write_sample(name)
    sample.path.write_text("[" * 200_000 + "]" * 200_000)
    with pytest.raises(AnnotationError, match=sample.path.name):
        read(name, sample)
