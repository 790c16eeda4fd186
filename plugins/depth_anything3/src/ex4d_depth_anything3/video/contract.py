"""What the component claims beyond what its role asks."""

from ex4d_core.testing.contracts import DepthEstimatorContract


class VdaContract(DepthEstimatorContract):
    """Clips of any length and size have depth."""

    name = "vda"
    any_clip = True
