"""What the component claims beyond what its role asks."""

from ex4d_core.testing.contracts import DepthEstimatorContract


class Da3Contract(DepthEstimatorContract):
    """Clips of any length and size have depth."""

    name = "da3"
    any_clip = True
