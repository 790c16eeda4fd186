"""Depth files: formats that are read and written."""
