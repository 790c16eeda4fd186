"""`ex4d app` keeps the contract of commands."""

from ex4d_core.testing.contracts import CommandContract


class TestApp(CommandContract):
    name = "app"
    heavy = (*CommandContract.heavy, "gradio", "uvicorn", "fastapi")
