"""Whether the images of a folder of frames are whole and of one size, by their first and last bytes.

Decoding all of them takes long, and finds less: what is missing at the end of a JPEG is made up without a word.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from stal.data.video.frame_folder import read_images
from stal.errors import VideoReadError

_PNG, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
_JPEG, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_SIZES_OF_JPEG = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}  # markers SOF
_END_BYTES = 1024  # some programs write a little behind the end of an image


def check_images(paths: Sequence[Path]) -> None:
    """Look at the images of a video.

    Raises:
        VideoReadError: one cannot be read, is cut off, or has another size than the first.
    """
    first = None
    for path in paths:
        size = read_size(path)
        first = first or size
        if size != first:
            raise VideoReadError(
                f"{path}: {size[0]} x {size[1]} pixels, but {paths[0].name} has {first[0]} x {first[1]}; "
                "the frames of a video have one size"
            )


def read_size(path: Path) -> tuple[int, int]:
    """Return width and height of an image that has its end; one that is neither a JPEG nor a PNG is decoded.

    Raises:
        VideoReadError: it cannot be read, or is cut off.
    """
    if not path.is_file():
        raise VideoReadError(f"{path}: it cannot be read (no file, or a link to nowhere); extract the video again")
    try:
        with path.open("rb") as file:
            start = file.read(24)
            end = _read_end(file)
            size = _jpeg_size(file) if start.startswith(_JPEG) else None
    except OSError as error:
        raise VideoReadError(f"{path}: it cannot be read ({error.strerror}); extract the video again") from error
    if start.startswith(_PNG) and start[12:16] == b"IHDR":
        size = int.from_bytes(start[16:20], "big"), int.from_bytes(start[20:24], "big")
    if size is None:
        (image,) = read_images([path])
        return image.shape[1], image.shape[0]
    if (_PNG_END if start.startswith(_PNG) else _JPEG_END) not in end:
        raise VideoReadError(f"{path}: the image is cut off; extract the video again")
    return size


def _read_end(file: BinaryIO) -> bytes:
    length = file.seek(0, 2)
    file.seek(max(0, length - _END_BYTES))
    return file.read()


def _jpeg_size(file: BinaryIO) -> tuple[int, int] | None:
    """Return the size that stands in the header of a frame, behind others of other kinds; None if it is not found."""
    file.seek(2)
    while len(header := file.read(4)) == 4 and header[0] == 0xFF:
        length = int.from_bytes(header[2:], "big")
        if header[1] in _SIZES_OF_JPEG:
            frame = file.read(5)  # bits of a sample, height, width
            return int.from_bytes(frame[3:], "big"), int.from_bytes(frame[1:3], "big")
        file.seek(length - 2, 1)
    return None
