"""DepthCrafter for ex4d."""
