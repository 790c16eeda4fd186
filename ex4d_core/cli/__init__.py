"""The `ex4d` command."""
