"""Geometry of boxes and tubes, and the twice-differentiable RoIAlign."""
