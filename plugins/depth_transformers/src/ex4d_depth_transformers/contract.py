"""What the component claims beyond what its role asks."""

from ex4d_core.testing.contracts import DepthEstimatorContract


class TransformersContract(DepthEstimatorContract):
    """Clips of any length and size have depth."""

    name = "transformers"
    any_clip = True
