import io
import struct

import pytest

from stal.data.video.avi_gaps import GapFinder


def chunk(name, size):
    return struct.pack("<4sI", name, size) + b"x" * (size + size % 2)


def list_of(kind, name, content=b""):
    return struct.pack("<4sI4s", kind, 4 + len(content), name) + content


START = list_of(b"RIFF", b"AVI ") + list_of(b"LIST", b"hdrl", chunk(b"avih", 56)) + list_of(b"LIST", b"movi")


def find_gaps(between, start=START):
    """Two packets behind a header, with something between them: whether there is a gap before each."""
    first, second = chunk(b"00dc", 5), chunk(b"00dc", 9)
    find_gap = GapFinder(io.BytesIO(start + first + between + second))
    return [find_gap(len(start) + 8, 5), find_gap(len(start) + len(first) + len(between) + 8, 9)]


@pytest.mark.parametrize(
    "between",
    [
        b"",
        chunk(b"00dc", 0),
        chunk(b"00dc", 0) * 40,
        chunk(b"01wb", 7) + chunk(b"00dc", 0),
        chunk(b"JUNK", 500),
        chunk(b"ix00", 24),
        list_of(b"LIST", b"rec "),
        chunk(b"idx1", 16) + list_of(b"RIFF", b"AVIX") + list_of(b"LIST", b"movi"),
    ],
    ids=["nothing", "empty", "many empty", "sound", "padding", "index", "list", "next part of a large file"],
)
def test_chunks_without_a_packet_are_no_gap(between):
    assert find_gaps(between) == [False, False]


@pytest.mark.parametrize(
    "between",
    [bytes(12), chunk(b"\0\0\0\0", 6), chunk(b"00dc", 6)[:-2], chunk(b"JUNK", 500)[:-100], b"x" * 3000],
    ids=["zeros", "header lost", "two bytes lost", "many bytes lost", "foreign"],
)
def test_what_is_no_row_of_whole_chunks_is_a_gap(between):
    assert find_gaps(between) == [False, True]


@pytest.mark.parametrize(
    ("start", "has_gap"),
    [
        (START + chunk(b"00dc", 0), False),
        (list_of(b"RIFF", b"AVI ") + chunk(b"IDIT", 9) + list_of(b"LIST", b"movi"), False),
        (START + bytes(20), True),
        (START[:-30] + START[-12:], True),
    ],
    ids=["empty chunk", "other chunk in the header", "zeros", "part of the header lost"],
)
def test_the_first_packet_follows_the_header(start, has_gap):
    assert find_gaps(b"", start) == [has_gap, False]


def test_packets_that_are_stored_in_another_order_are_no_gap():
    find_gap = GapFinder(io.BytesIO(START + chunk(b"00dc", 6) + chunk(b"01wb", 6) + chunk(b"00dc", 6)))
    assert [find_gap(len(START) + start, 6) for start in (8, 36, 22)] == [False, False, False]


class CountingFile(io.BytesIO):
    num_reads = 0

    def read(self, size=-1):
        self.num_reads += 1
        return super().read(size)


@pytest.mark.parametrize("num_frames", [3, 12_000])
def test_sound_behind_the_picture_is_no_gap_and_every_chunk_is_seen_once(num_frames):
    """FFmpeg goes to and fro between the two by the file's index."""
    file = CountingFile(START + chunk(b"00dc", 6) * num_frames + chunk(b"01wb", 2) * num_frames)
    find_gap = GapFinder(file)
    for number in range(num_frames):
        assert not find_gap(len(START) + 14 * number + 8, 6)
        assert not find_gap(len(START) + 14 * num_frames + 10 * number + 8, 2)
    assert file.num_reads < 3 * num_frames + 10


def test_a_gap_far_ahead_is_found_when_its_other_side_is_reached():
    file = io.BytesIO(START + chunk(b"00dc", 6) + bytes(14) + chunk(b"00dc", 6) + chunk(b"01wb", 2))
    find_gap = GapFinder(file)
    starts = [8, 28 + 14 + 8, 28 + 8]
    assert [find_gap(len(START) + start, size) for start, size in zip(starts, (6, 2, 6), strict=True)] == [
        False,
        True,
        False,
    ]
