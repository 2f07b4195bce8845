"""The tube detector: backbone, proposals, RoI head."""
