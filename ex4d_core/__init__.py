"""ex4d: one ordinary video in, the same scene seen from somewhere else out."""

__version__ = "0.1.0"
