"""Declaration of options."""

import attrs
import pytest

from ex4d_core.config import make_options
from ex4d_core.errors import InvalidConfig
from ex4d_core.geometry.watertight_options import WatertightOptions
from ex4d_core.masks import MaskOptions
from ex4d_core.options import option


@attrs.frozen
class Renamed:
    """An options class with a renamed option."""

    amount: float = option(1.0, help="A number.", former="by")


def test_a_former_name_is_accepted():
    assert make_options(Renamed, {"by": 2.0}, "move") == make_options(Renamed, {"amount": 2.0}, "move")


def test_a_former_name_beside_the_current_one_is_an_error():
    with pytest.raises(InvalidConfig, match="by is the former name of amount"):
        make_options(Renamed, {"by": 2.0, "amount": 2.0}, "move")


def test_former_names_of_mask_options_are_accepted():
    former = {"returning": 0.5, "blobs": [0.1, 0.2], "alone": [0.3, 0.4]}
    assert make_options(MaskOptions, former, "masks") == MaskOptions(
        return_probability=0.5, blob_area=(0.1, 0.2), blob_area_without_depth=(0.3, 0.4)
    )


def test_a_value_that_is_not_among_the_choices_is_refused_with_them():
    with pytest.raises(InvalidConfig, match=r"^mesh.occlusion must be one of angle, boundary, not 'angel'$"):
        make_options(WatertightOptions, {"occlusion": "angel"}, "mesh")
