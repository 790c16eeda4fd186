"""Pure functions on depth, rays, cameras and surfaces."""
