"""Pytest fixtures for tests that need a VACE: `pytest_plugins = ["ex4d_backbone_vace.fixtures"]`."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_vace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a tiny VACE in diffusers' layout; tests must not change it."""
    pytest.importorskip("diffusers")
    pytest.importorskip("transformers")
    from ex4d_backbone_vace.testing import save_tiny_vace

    return save_tiny_vace(tmp_path_factory.mktemp("vace"))
