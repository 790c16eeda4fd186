"""Options of the depth watertight mesh; imports nothing heavy."""

from __future__ import annotations

from typing import Any

import attrs

from ex4d_core.options import option

_positive = attrs.validators.gt(0)


def _zero_or_from_1(instance: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if value != 0 and not value >= 1:
        raise ValueError(f"max_stretch must be 0 or at least 1, not {value:g}")


@attrs.frozen
class WatertightOptions:
    """Options of the depth watertight mesh."""

    border_depth: float | None = option(
        None,
        help="Depth of the outermost ring of pixels and of invalid pixels; automatic: 8 times the largest depth of the "
        "frame, so that it is never in front of the scene, in any unit",
        unit="units of the depth",
        validator=attrs.validators.optional(_positive),
    )
    occlusion: str = option(
        "angle",
        help="Rule for occluded faces: 'angle', the smallest interior angle is below min_angle; 'boundary', the extent "
        "in depth is more than max_slope times the width or height",
        validator=attrs.validators.in_(("angle", "boundary")),
    )
    min_angle: float = option(
        2.5,
        help="Rule 'angle': faces with a smaller interior angle are occluded",
        unit="degrees",
        validator=attrs.validators.and_(attrs.validators.ge(0), attrs.validators.le(60)),
    )
    max_slope: float = option(
        2.0,
        help="Rule 'boundary': faces whose extent in z is more than this times their larger extent in x or y are "
        "occluded",
        unit="ratio",
        validator=_positive,
    )
    max_stretch: float = option(
        1.5,
        help="Occluded faces are hidden from cameras that see them stretched by more than this, relative to the source "
        "camera; 0: from every camera, as in EX-4D, which also hides half of the adjacent pixels",
        unit="ratio",
        validator=_zero_or_from_1,
    )
    thin_width: float = option(
        2.0,
        help="Things up to about this width are taken for rods, whose depth is their width, and hide only that much; "
        "0, or without max_stretch: they hide everything between them and their background",
        unit="% of the longer side",
        validator=attrs.validators.and_(attrs.validators.ge(0), attrs.validators.le(20)),
    )
    cap: str = option(
        "stitched",
        help="Back of the mesh: 'stitched', a fan from the ring to one vertex behind it, all occluded; 'corners', "
        "two faces between the corners, as in EX-4D, which are subject to the occlusion rule and leave gaps",
        validator=attrs.validators.in_(("stitched", "corners")),
    )
    pixel_center: float = option(
        0.5,
        help="Position of the depth sample in its pixel: 0.5 is the center, 0 the upper left corner as in EX-4D",
        unit="pixels",
        validator=attrs.validators.and_(attrs.validators.ge(0), attrs.validators.le(1)),
    )
    hidden_colors: str = option(
        "keep",
        help="Colors of the vertices of occluded faces: 'keep', or 'black' as in EX-4D, which darkens adjacent faces",
        validator=attrs.validators.in_(("keep", "black")),
    )
