"""Complete runs: batches, exported files, and the generation stage alone."""
