"""Detection losses, and penalties on what the scores of actors depend on."""
