"""`ex4d eval` keeps the contract of commands."""

from ex4d_core.testing.contracts import CommandContract


class TestEval(CommandContract):
    name = "eval"
