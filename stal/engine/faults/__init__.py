"""What keeps a training through faults: checkpoints that always open, samples that cannot be read."""
