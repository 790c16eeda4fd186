"""Measurements of speed, memory and quality; README.md has the commands and the results."""
