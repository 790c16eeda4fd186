"""Camera moves for ex4d."""
