"""`ex4d view` keeps the contract of commands."""

from ex4d_core.testing.contracts import CommandContract


class TestView(CommandContract):
    name = "view"
    heavy = (*CommandContract.heavy, "viser", "trimesh")
