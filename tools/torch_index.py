"""Print the address of the package index with the CPU builds of PyTorch if this machine should install from it.

PyPI has torch for Linux with gigabytes of CUDA libraries, which are of no use without an NVIDIA GPU. Nothing is printed
if there is a driver, if pip is configured to use other sources, or if the index cannot be reached. The environment
variable TORCH_INDEX replaces the choice: an address is printed as it is, and an empty value stands for none.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
SECONDS = 5.0
"""Longest time to wait for the index."""


def has_nvidia_driver() -> bool:
    """Return whether the NVIDIA driver is installed."""
    return shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia").exists()


def pip_has_sources() -> bool:
    """Return whether pip is configured to use other sources than PyPI, by files or environment variables."""
    pip = [sys.executable, "-m", "pip", "config", "list"]
    settings = subprocess.run(pip, capture_output=True, text=True).stdout
    names = [line.partition("=")[0].rpartition(".")[2] for line in settings.splitlines()]
    return any(name in ("index-url", "extra-index-url", "find-links", "no-index") for name in names)


def answers(index: str) -> bool:
    """Return whether an index can be reached."""
    try:
        with urlopen(f"{index}/torch/", timeout=SECONDS):
            return True
    except (OSError, ValueError):
        return False


def torch_index() -> str:
    """Return the address, or ''."""
    given = os.environ.get("TORCH_INDEX")
    if given is not None:
        return given
    if not sys.platform.startswith("linux") or has_nvidia_driver() or pip_has_sources():
        return ""
    return CPU_INDEX if answers(CPU_INDEX) else ""


if __name__ == "__main__":
    sys.stdout.write(torch_index())
