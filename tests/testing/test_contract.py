"""The components of the core keep their contracts."""

import pytest

from ex4d_core.testing.builtin_contracts import (
    FileContract,
    FromFileContract,
    SketchContract,
    TeleaContract,
    WatertightContract,
    ZBufferContract,
)
from ex4d_core.testing.contracts import RendererContract

pytestmark = pytest.mark.slow


class TestFile(FileContract):
    pass


class TestSketch(SketchContract):
    pass


class TestFromFile(FromFileContract):
    pass


class TestWatertight(WatertightContract):
    pass


@pytest.mark.gpu
class TestWatertightOnGpu(WatertightContract):
    device = "cuda"


class TestZBuffer(ZBufferContract):
    pass


class TestRaycast(RendererContract):
    name = "raycast"


class TestTorch(RendererContract):
    name = "torch"


@pytest.mark.gpu
class TestTorchOnGpu(RendererContract):
    name = "torch"
    device = "cuda"


class TestTelea(TeleaContract):
    pass
