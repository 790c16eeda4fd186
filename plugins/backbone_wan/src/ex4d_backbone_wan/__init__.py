"""Wan2.1 with the EX-4D adapter for ex4d."""
