"""Depth Anything 3 and Video Depth Anything for ex4d: depth, lens and poses of the source camera; steady depth."""
