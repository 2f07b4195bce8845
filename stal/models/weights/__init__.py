"""Weights of other projects' networks, as weights of this project's backbones."""
