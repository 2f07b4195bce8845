"""How fast a config trains and detects on this machine, in parts and against the bare network."""
