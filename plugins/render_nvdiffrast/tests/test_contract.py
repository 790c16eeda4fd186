"""nvdiffrast keeps the contract of renderers."""

import pytest

from ex4d_core.testing.contracts import RendererContract


@pytest.mark.gpu
class TestNvdiffrast(RendererContract):
    name = "nvdiffrast"
    device = "cuda"
