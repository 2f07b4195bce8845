"""Checks of annotated data: what would make a training worthless, found before it."""
