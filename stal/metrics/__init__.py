"""frame-mAP and video-mAP as NumPy functions."""
