"""Frames of videos by their number, exactly."""
