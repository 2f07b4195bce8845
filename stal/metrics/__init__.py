"""Protocols, frame-mAP, video-mAP, errors, strata and intervals, as NumPy functions on flat tables."""
