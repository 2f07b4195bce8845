"""What is made of every video, and by what its actors are cut out."""

from typing import Literal

Kind = Literal["swap", "still", "stripe", "scene_only", "actor_only"]
"""What is made of a video; `docs/scene_shift.md` describes each."""

MaskKind = Literal["box", "silhouette"]
"""By what actors are cut out and removed: their boxes, or their silhouettes (`Video.masks_path`)."""

DONOR_KINDS: tuple[Kind, ...] = ("swap", "still")
"""The kinds whose scene comes from another video."""
