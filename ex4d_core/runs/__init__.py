"""Whole runs: what they write for people, one after the other."""
