"""The stages of a run, in order, and their cached results."""
