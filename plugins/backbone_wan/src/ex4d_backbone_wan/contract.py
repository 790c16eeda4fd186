"""Contract of `wan`."""

from ex4d_core.testing.contracts import BackboneContract


class WanContract(BackboneContract):
    """Claims that the video depends on the seed."""

    name = "wan"
    random = True
