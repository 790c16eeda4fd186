"""Synthetic scenes and contracts, for tests of plugins and of this repository."""
