"""How several processes share the tests: each file is for one of them, as are files that share what takes long.

The processes begin with what takes longest, so that they end at about the same time.
"""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling

UNITS = (
    ("plugins/backbone_wan/", "plugins/backbone_vace/"),
    ("plugins/cluster_ray/", "plugins/training/tests/data/test_on_ray.py"),
    ("plugins/training/",),
    ("tests/hostile/",),
    ("tests/project/test_fresh_environment.py", "tests/project/test_tutorial.py"),
    ("plugins/depth_depthcrafter/",),
    ("plugins/web/",),
    ("plugins/viewer/",),
)
"""Files and folders that are tested by one process, the longest first; every other file is a unit, and comes later."""


class UnitScheduling(LoadFileScheduling):
    """As `--dist loadfile`, but by these units."""

    def _split_scope(self, nodeid: str) -> str:
        number = rank(nodeid)
        return UNITS[number][0] if number < len(UNITS) else super()._split_scope(nodeid)


def rank(nodeid: str) -> int:
    """Return the place of the unit of a test; that of all others is the last."""
    return next((place for place, unit in enumerate(UNITS) if nodeid.startswith(unit)), len(UNITS))
