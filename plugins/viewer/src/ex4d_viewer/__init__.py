"""A page in the browser that shows a run of ex4d."""
