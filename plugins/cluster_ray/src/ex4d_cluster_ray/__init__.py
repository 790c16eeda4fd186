"""Run a manifest of ex4d on a Ray cluster."""
