"""BatchMix, and the provenance of every voxel."""
