"""Depth from a stereo video, for ex4d."""
