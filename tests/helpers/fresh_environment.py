"""An environment as a user has it: wheels of the core and the plugins, and nothing of the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[2]
OURS = ("ex4d", "_ex4d", "typer_cli", "__editable__")
"""How the names begin of what our own distributions leave in site-packages, editable or not."""

PIP = [sys.executable, "-m", "pip", "--isolated", "--no-cache-dir", "--disable-pip-version-check"]
"""Without what the user's settings and variables say to pip."""
OFFLINE = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation"]

BUILD = """
import os, sys
from hatchling.build import build_wheel
for source in sys.argv[2:]:
    os.chdir(source)
    print(build_wheel(sys.argv[1]))
"""
"""The build backend of all projects; pip itself takes three processes for each."""


@attrs.frozen(kw_only=True)
class FreshEnvironment:
    """A virtual environment that sees third-party packages of this one, and wheels to install from."""

    folder: Path
    wheels: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def install(self, *packages: str | Path) -> None:
        """Install wheels; what is imported of them is compiled then."""
        call = [*PIP, f"--python={self.python}", "install", "--no-compile", *OFFLINE, *map(str, packages)]
        subprocess.run(call, check=True)

    @property
    def site(self) -> Path:
        """Where packages are installed."""
        (site,) = self.folder.glob("lib/python*/site-packages")
        return site

    def take_compiled(self) -> None:
        """Take over kernels that numba has compiled in the checkout: to compile the same ones again takes long.

        It takes a source for the same if its size and time are.
        """
        for kernel in ROOT.glob("ex4d_core/*/__pycache__/*.nb[ic]"):
            source = kernel.parents[1] / f"{kernel.name.partition('.')[0]}.py"
            installed = self.site / source.relative_to(ROOT)
            (installed.parent / "__pycache__").mkdir(exist_ok=True)
            shutil.copy(kernel, installed.parent / "__pycache__")
            os.utime(installed, ns=(source.stat().st_atime_ns, source.stat().st_mtime_ns))

    def remove(self, package: str) -> None:
        """Take a package out again."""
        subprocess.run([*PIP, f"--python={self.python}", "uninstall", "--quiet", "--yes", package], check=True)

    def variables(self) -> dict[str, str]:
        """Return what a shell in which it is activated, and from which no network is reached, has set."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHON", "PIP"))}
        path = f"{self.folder / 'bin'}{os.pathsep}{kept['PATH']}"
        offline = {
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_CACHE_DIR": "1",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
            "PIP_NO_BUILD_ISOLATION": "0",  # pip's way to say yes to an option that begins with no
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # a user has none of those that are installed here
        }
        return {**kept, **offline, "PATH": path, "VIRTUAL_ENV": str(self.folder), "OMP_WAIT_POLICY": "PASSIVE"}

    def run(self, *words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run a program of it; return what came of that."""
        command = [str(self.folder / "bin" / words[0]), *map(str, words[1:])]
        return subprocess.run(command, cwd=cwd, env=self.variables(), capture_output=True, text=True)


def projects() -> list[Path]:
    """Return the folders of all distributions of the repository that users install."""
    return [ROOT, *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]


def build_wheels(folder: Path, sources: Sequence[Path]) -> list[Path]:
    """Build a wheel of each project, as pip does, but in one process; return the wheels."""
    folder.mkdir(exist_ok=True)
    call = [sys.executable, "-c", BUILD, str(folder), *map(str, sources)]
    done = subprocess.run(call, check=True, capture_output=True, text=True)
    return [folder / name for name in done.stdout.split()]


def make_environment(folder: Path, wheels: Path) -> FreshEnvironment:
    """Make an environment in which nothing of ours is installed yet."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    fresh = FreshEnvironment(folder=folder / "venv", wheels=wheels)
    (folder / "third_party").mkdir()
    for package in Path(sysconfig.get_path("purelib")).iterdir():
        # Files that put checkouts on the path are left out too.
        if not package.name.startswith(OURS) and package.suffix != ".pth":
            (folder / "third_party" / package.name).symlink_to(package)
    (fresh.site / "third_party.pth").write_text(f"{folder / 'third_party'}\n")
    for program in ("pip", "pytest"):
        script = fresh.folder / "bin" / program
        script.write_text(f'#!/bin/sh\nexec "{fresh.python}" -m {program} "$@"\n')
        script.chmod(0o755)
    return fresh
