"""Many clips on many machines: a manifest of jobs, workers that run them, and a report."""
