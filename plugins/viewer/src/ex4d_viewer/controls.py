"""Values of controls, checked against their bounds when they are read: a client can send any value."""

from __future__ import annotations

from typing import Any


def whole(slider: Any) -> int:
    """Return the value of a slider, which is first moved into its bounds."""
    value = min(max(int(slider.value), int(slider.min)), int(slider.max))
    if slider.value != value:
        slider.value = value
    return value


def choice(dropdown: Any) -> str:
    """Return the selected option of a dropdown; an unknown one is replaced by the first."""
    if dropdown.value not in dropdown.options:
        dropdown.value = dropdown.options[0]
    return str(dropdown.value)


def put(control: Any, value: object) -> None:
    """Set the value of a control, which viser's types declare as read-only."""
    control.value = value
