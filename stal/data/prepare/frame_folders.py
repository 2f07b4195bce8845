"""Copies of videos as folders of their annotated frames."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar

import cv2

from stal.data.prepare.all_frames import iterate_frames
from stal.errors import ConfigError
from stal.structures import Video

_JPEG, _PNG = ".jpg", ".png"


@dataclass(frozen=True)
class FrameFolders:
    """Every annotated frame as an image `frames/<key>/00001.jpg`, `00002.jpg`, ...

    Attributes:
        quality: of JPEG, 1 to 100; None for PNG, which changes no pixel.
    """

    quality: int | None = 95

    name: ClassVar[str] = "frames"

    def __post_init__(self) -> None:
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise ConfigError(f"quality {self.quality}: that of JPEG is 1 to 100 (best); the default is 95")

    def place(self, key: str) -> PurePosixPath:
        """Return where the copy of a video goes, below the folder of all copies."""
        return PurePosixPath("frames", key)

    def write(self, video: Video, path: Path) -> None:
        """Write the annotated frames of `video` into the folder `path`, which must not be there.

        Raises:
            StalError: the video cannot be read.
            OSError: the frames cannot be written.
        """
        suffix, options = (_PNG, []) if self.quality is None else (_JPEG, [cv2.IMWRITE_JPEG_QUALITY, self.quality])
        path.mkdir()
        for number, frame in enumerate(iterate_frames(video), start=1):
            _, content = cv2.imencode(suffix, cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), options)
            (path / f"{number:05d}{suffix}").write_bytes(content.tobytes())


def remove_frames(folder: Path) -> None:
    """Remove a folder of frames.

    Raises:
        OSError: it holds other files too, which are left there.
    """
    for path in folder.iterdir():
        if path.suffix in (_JPEG, _PNG) and path.stem.isdecimal():
            path.unlink()
    folder.rmdir()
