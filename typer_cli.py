"""The `ex4d` command, for `ex4d` and `python -m typer_cli`; `ex4d_core.cli.app` composes it."""

from ex4d_core.cli.app import __getattr__ as __getattr__  # `typer_cli.app`, the Typer app
from ex4d_core.cli.app import main as main

if __name__ == "__main__":
    main()
