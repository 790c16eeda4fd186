"""Depth Anything 3 for ex4d: depth, lens and poses of the source camera."""
