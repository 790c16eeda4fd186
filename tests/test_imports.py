"""Imports without garbage collections."""

import gc

import pytest

from ex4d_core.imports import without_collections


@pytest.mark.parametrize("enabled", [True, False])
def test_no_garbage_is_collected_in_the_block_and_then_as_before(enabled):
    before = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        with pytest.raises(ImportError), without_collections():
            assert not gc.isenabled()
            with without_collections():
                pass
            assert not gc.isenabled()
            raise ImportError
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()
