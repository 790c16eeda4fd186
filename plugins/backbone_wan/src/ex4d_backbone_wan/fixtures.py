"""Pytest fixtures for tests that need a Wan: `pytest_plugins = ["ex4d_backbone_wan.fixtures"]`."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_wan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a tiny Wan in diffusers' layout, with its adapter `ex4d.safetensors`; tests must not change it."""
    pytest.importorskip("diffusers")
    pytest.importorskip("transformers")
    from ex4d_backbone_wan.testing import save_tiny_wan

    return save_tiny_wan(tmp_path_factory.mktemp("wan"))
