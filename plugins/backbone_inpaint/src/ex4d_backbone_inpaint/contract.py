"""Contract of the `inpaint` backbone."""

from ex4d_core.testing.contracts import BackboneContract


class InpaintContract(BackboneContract):
    """Preserves the visible region exactly."""

    name = "inpaint"
    keeps_known = 100.0
