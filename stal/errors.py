"""The errors that stal raises on bad input: every one is a `StalError`.

A message names what was looked at (a file, a video, a config key), the offending value, and what to do about it.
"""


class StalError(Exception):
    """Base of every error that stal raises on purpose."""


class ShapeError(StalError, ValueError):
    """An array or tensor handed to a stal structure or function has the wrong shape, type or values."""


class DataNotFoundError(StalError, FileNotFoundError):
    """A data set, video, mask or annotation file is not where it was looked for."""

    def __str__(self) -> str:  # FileNotFoundError would print an errno that is not there
        return str(self.args[0]) if self.args else ""


class AnnotationError(StalError, ValueError):
    """An annotation file cannot be used: broken, refused, of another format, or at odds with its video."""


class VideoReadError(StalError, OSError):
    """A video cannot be decoded, or not to the frames that were asked for."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class BadDataError(StalError, RuntimeError):
    """More samples of a data set cannot be read than may be, or they cannot be written down."""


class ConfigError(StalError, ValueError):
    """A config has an unknown key or a value that cannot work."""


class CheckpointError(StalError, RuntimeError):
    """A checkpoint is missing, broken, refused, or of another model."""


class ExportError(StalError, RuntimeError):
    """A detector cannot be exported, or what was exported does not give what the detector gives."""


class PenaltyError(StalError, RuntimeError):
    """A penalty would be silently wrong: it is not told what it needs, or its gradient misses clip or weights."""


class TrainingError(StalError, RuntimeError):
    """A training cannot go on: its losses or gradients are not finite."""


class WorkerError(StalError, RuntimeError):
    """A process that reads samples died, or hangs."""


class DeviceMemoryError(StalError, RuntimeError):
    """The memory of a GPU is not enough."""
