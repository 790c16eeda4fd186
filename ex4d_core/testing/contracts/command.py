"""Contract of sub-commands of plugins."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import ClassVar

import pytest

from ex4d_core.plugins.discovery import find_plugins
from ex4d_core.plugins.offers import BUILTIN_COMMANDS, CommandOffer


class CommandContract:
    """Tests of a sub-command. Derive a class with its name."""

    name: ClassVar[str]
    """Name after `ex4d`; its plugin must be installed."""

    heavy: ClassVar[tuple[str, ...]] = ("torch", "numpy", "cv2", "av")
    """Modules that must not be imported to list it."""

    @pytest.fixture
    def offer(self) -> CommandOffer:
        """The offer of the plugin."""
        (offer,) = [offer for offer in find_plugins().commands if offer.name == self.name]
        return offer

    def test_name_is_unique(self, offer: CommandOffer) -> None:
        assert self.name not in BUILTIN_COMMANDS

    def test_summary_is_one_line(self, offer: CommandOffer) -> None:
        assert len(offer.spec.summary.strip().splitlines()) == 1

    def test_is_listed_without_heavy_imports(self, offer: CommandOffer) -> None:
        code = (
            f"import sys, typer_cli\ntry: typer_cli.main(['--help'])\nexcept SystemExit: pass\n"
            f"sys.exit(' '.join({{*{self.heavy!r}}} & {{*sys.modules}}) or 0)"
        )
        done = self._python("-c", code)
        assert done.returncode == 0, f"imported {done.stderr}"
        assert self.name in done.stdout

    def test_prints_usage(self, offer: CommandOffer) -> None:
        if missing := offer.missing_requirements():
            pytest.skip(f"{self.name} requires {' and '.join(missing)}")
        done = self._python("-m", "typer_cli", self.name, "--help")
        assert done.returncode == 0, done.stderr
        assert "Usage" in done.stdout

    def test_rejects_unknown_options(self, offer: CommandOffer) -> None:
        if offer.missing_requirements():
            pytest.skip(f"requirements of {self.name} are not installed")
        done = self._python("-m", "typer_cli", self.name, "--no-such-option-anywhere")
        assert done.returncode == 2
        assert "Traceback" not in done.stderr

    @staticmethod
    def _python(*words: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"COLUMNS": "200", "PYTHONIOENCODING": "utf-8"}
        return subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True)
