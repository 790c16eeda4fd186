"""Depth models of the transformers library for ex4d."""
