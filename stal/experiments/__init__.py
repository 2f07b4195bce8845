"""Grids of trainings: mixers times penalties times seeds, run, counted and written down on a page."""
