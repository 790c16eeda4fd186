"""The `inpaint` backbone keeps its contract."""

import pytest

from ex4d_backbone_inpaint.contract import InpaintContract

pytestmark = pytest.mark.slow


class TestInpaint(InpaintContract):
    pass
