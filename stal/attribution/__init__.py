"""Where a detection's score comes from: gradient tubes and the like, and how far they can be trusted."""
