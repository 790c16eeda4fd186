"""Read and write depth files."""
