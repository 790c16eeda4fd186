"""The version of the core and of the plugins in this repository."""

__version__ = "0.1.0"
