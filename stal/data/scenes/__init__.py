"""Generated videos of nine actions on nine scenes, for measuring how much a detector looks at the scene."""

from stal.data.scenes.actions import ACTIONS
from stal.data.scenes.backgrounds import SCENES
from stal.data.scenes.generate import ANNOTATIONS_FILE, SPLITS, generate

__all__ = ["ACTIONS", "ANNOTATIONS_FILE", "SCENES", "SPLITS", "generate"]
