"""What the component claims beyond what its role asks."""

from ex4d_core.testing.contracts import DepthEstimatorContract


class DepthCrafterContract(DepthEstimatorContract):
    """Clips of any length and size have depth."""

    name = "depthcrafter"
    any_clip = True
