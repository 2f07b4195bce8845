"""Drawing on frames, and writing videos and picture strips."""
