"""Identify processes across restarts, machines and containers."""

from __future__ import annotations

import os
import socket
import sys
from functools import cache

import psutil


def namespace_id() -> str:
    """Return an identifier of the process namespace: this machine and this container."""
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    return "\0".join((socket.gethostname(), _first_line("/etc/machine-id"), namespace))


@cache
def boot_id() -> str:
    """Return an identifier of the boot of this machine, or '' if unknown."""
    return _first_line("/proc/sys/kernel/random/boot_id").replace("-", "")[:12]


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.readline(200).strip()
    except OSError:
        return ""


def process_exists(pid: int) -> bool:
    """Return whether a process exists in this namespace."""
    if os.name == "nt":
        return bool(psutil.pid_exists(pid))
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # it belongs to another user
        return True
    return True


def start_time(pid: int) -> str:
    """Return the start time of a process, which tells it from later ones of its id; '' if unknown, '0' if ended.

    On Linux, it is in clock ticks since boot, which does not depend on the system clock.
    """
    if sys.platform != "linux":
        try:
            return f"{psutil.Process(pid).create_time() * 1000:.0f}"
        except psutil.Error:
            return ""
    try:
        if os.readlink("/proc/self") != str(os.getpid()):  # it lists processes of another namespace
            return ""
        with open(f"/proc/{pid}/stat", "rb") as file:
            state, *facts = file.read().rpartition(b")")[2].split()
    except (OSError, ValueError):
        return ""
    return "0" if state in (b"Z", b"X") else facts[18].decode()
