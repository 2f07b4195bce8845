"""stal: spatio-temporal action localization, with detectors that look at the actor."""

__version__ = "0.1.0"
