"""`ex4d data` keeps the contract of commands."""

from ex4d_core.testing.contracts import CommandContract


class TestData(CommandContract):
    name = "data"
    heavy = (*CommandContract.heavy, "diffusers", "transformers")
