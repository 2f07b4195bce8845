"""Backbones: networks that give the features that a detector works on."""

from stal.models.backbone.interface import Backbone, OnePathway, PathwayFeatures
from stal.models.backbone.mvit import MViT
from stal.models.backbone.slow_only import SlowOnly
from stal.models.backbone.slowfast import SlowFast
from stal.models.backbone.swin import Swin3d

__all__ = ["Backbone", "MViT", "OnePathway", "PathwayFeatures", "SlowFast", "SlowOnly", "Swin3d"]
