"""Values of controls, which any client can set to anything: read such that they are within their bounds."""

from __future__ import annotations

from typing import Any


def whole(slider: Any) -> int:
    """Return the number that a slider shows; one out of its bounds is set to the nearest within."""
    value = min(max(int(slider.value), int(slider.min)), int(slider.max))
    if slider.value != value:
        slider.value = value
    return value


def choice(dropdown: Any) -> str:
    """Return which of its options a dropdown shows; one that is none of them is set to the first."""
    if dropdown.value not in dropdown.options:
        dropdown.value = dropdown.options[0]
    return str(dropdown.value)


def put(control: Any, value: object) -> None:
    """Set what a control shows; viser's types say that it cannot be set."""
    control.value = value
