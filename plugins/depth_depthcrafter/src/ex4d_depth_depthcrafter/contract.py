"""Contract of `depthcrafter`."""

from ex4d_core.testing.contracts import DepthEstimatorContract


class DepthCrafterContract(DepthEstimatorContract):
    """Claims depth for clips of any length and size."""

    name = "depthcrafter"
    any_clip = True
