"""What the component claims beyond what its role asks."""

from ex4d_core.testing.contracts import BackboneContract


class WanContract(BackboneContract):
    """Another seed gives another video."""

    name = "wan"
    random = True
