"""Readers of depth files, one module per container."""
