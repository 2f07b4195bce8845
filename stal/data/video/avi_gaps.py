"""Parts of an avi file that its reader passes over: there frames are lost, and those behind are numbered as if not."""

import re
import struct
from io import BufferedIOBase

_HEADER = struct.Struct("<4sI")  # of a chunk: its name, and how many bytes follow
_LISTS = (b"RIFF", b"LIST")  # chunks of chunks, behind a name of the list
_LISTS_OF_PACKETS = (b"AVI ", b"AVIX", b"movi", b"rec ")
_CHUNK = re.compile(rb"\d\d..|ix..|idx1|JUNK", re.DOTALL)
_HEADER_CHUNK = re.compile(rb"[ -~]{4}")  # what stands before the packets has many names


class GapFinder:
    """Notice where no row of whole chunks leads from one packet to the next: to be called with every packet.

    There FFmpeg found something else, and searched for a place to go on. Chunks without a packet are no gap::

        RIFF AVI  LIST hdrl ...  LIST movi  00dc ...  00dc 0  01wb ...  JUNK ...  00dc ...
                                            packet    empty   packet              packet

    Every chunk is looked at once, however FFmpeg goes to and fro: where the sound stands behind the picture, it takes
    packets of both by turns.

    Source: Microsoft, "AVI RIFF File Reference".
    """

    def __init__(self, file: BufferedIOBase) -> None:
        """Start before the first packet.

        Args:
            file: the avi file, open for reading.
        """
        self._file = file
        self._end = 0  # of what has been looked at

    def __call__(self, start: int, num_bytes: int) -> bool:
        """Return whether a part of the file is left out before a packet.

        Args:
            start: place of the packet in the file.
            num_bytes: its length.
        """
        end = self._end
        if start <= end:
            return False
        self._end = start + num_bytes
        return not self._chunks_lead(end, start - _HEADER.size)

    def _chunks_lead(self, position: int, goal: int) -> bool:
        known = _CHUNK if position > 0 else _HEADER_CHUNK
        position += position % 2  # chunks start at even bytes
        while position < goal:
            self._file.seek(position)
            header = self._file.read(_HEADER.size + 4)
            if len(header) < _HEADER.size + 4:
                return False
            name, size = _HEADER.unpack_from(header)
            if name in _LISTS and header[_HEADER.size :] in _LISTS_OF_PACKETS:
                position += _HEADER.size + 4
            elif name in _LISTS or known.fullmatch(name):
                position += _HEADER.size + size
            else:
                return False
            position += position % 2
        return position == goal
