"""Contract of `vace`."""

from ex4d_core.testing.contracts import BackboneContract


class VaceContract(BackboneContract):
    """Claims that the video depends on the seed."""

    name = "vace"
    random = True
