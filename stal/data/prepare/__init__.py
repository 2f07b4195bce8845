"""Data sets in a form that is faster to read: folders of frames, or videos that can be sought in anywhere."""
