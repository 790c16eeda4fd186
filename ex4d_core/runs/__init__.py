"""Complete runs: batches, exported files, and the generation stage on its own."""
