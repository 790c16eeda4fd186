"""Rendering with nvdiffrast."""
