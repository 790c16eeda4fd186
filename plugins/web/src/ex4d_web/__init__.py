"""The web app of ex4d. Reading order: `serving`, `layout`, `steps`, `work`, `projects`, `job_queue`."""
