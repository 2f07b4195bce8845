"""Detection losses and the input-gradient penalty."""
