"""Annotation formats, one file each: every reader gives `stal.structures.Annotations`."""
