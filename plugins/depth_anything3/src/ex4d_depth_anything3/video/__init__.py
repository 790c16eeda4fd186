"""Video Depth Anything for ex4d: depth that is steady over time."""
