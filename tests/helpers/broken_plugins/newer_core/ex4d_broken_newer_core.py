"""Asks for a core that does not exist yet, and would fail on this one."""

from ex4d_core import no_such_name_yet  # noqa: F401
