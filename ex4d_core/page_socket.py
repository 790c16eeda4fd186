"""The listening socket of a served page, and the address that opens the page."""

from __future__ import annotations

import socket
from typing import Any

from ex4d_core.errors import InvalidInput
from ex4d_core.page_guard import PageGuard, is_everywhere

_CANDIDATES = 100
"""Number of ports that are tried, from the first one."""

_SHOWN = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Addresses to open in place of those that stand for all interfaces."""


def listen(host: str, port: int | None, *, first_port: int) -> socket.socket:
    """Return a listening socket.

    Args:
        host: host name or address of this machine; IPv6 may be in brackets.
        port: 0: any free one; None: the first free one from `first_port`.
        first_port: the default port of the page.

    Raises:
        InvalidInput: the port is in use, or the address is not of this machine.
    """
    host = host.strip().strip("[]")
    if not host:
        raise InvalidInput(
            "--host is empty; use an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all of them"
        )
    addresses, reason = _addresses(host), ""
    for candidate in [port] if port is not None else range(first_port, first_port + _CANDIDATES):
        for family, (address, _, *more) in addresses:
            door = socket.socket(family, socket.SOCK_STREAM)
            try:
                door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                door.bind((address, candidate, *more))
                door.listen(100)
                return door
            except OSError as error:
                door.close()
                reason = error.strerror or str(error)
    ports = f"the port {port}" if port is not None else f"any port from {first_port} on"
    raise InvalidInput(f"{ports} at {host} cannot be used: {reason}; use another --port, or 0 for any free one")


def guard_of(door: socket.socket, host: str) -> tuple[PageGuard, str]:
    """Return the guard of a page that listens on a socket, and the address of the page without the token."""
    address, port = door.getsockname()[:2]
    guard = PageGuard(host, port)
    guard.allow_name(address)
    shown = _SHOWN.get(address, host.strip().strip("[]"))
    return guard, f"http://{f'[{shown}]' if ':' in shown else shown}:{port}"


def _addresses(host: str) -> list[tuple[socket.AddressFamily, tuple[Any, ...]]]:
    """Return the socket addresses of a host name.

    Raises:
        InvalidInput: the name has none, or it stands for all interfaces without being one of their usual addresses.
    """
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:  # UnicodeError for a name that is too long
        reason = getattr(error, "strerror", None) or error
        raise InvalidInput(f"--host {host} is not an address of this machine: {reason}") from error
    for *_, (address, *_) in found:
        if is_everywhere(str(address)) and not is_everywhere(host):
            raise InvalidInput(
                f"--host {host} stands for all interfaces; use 0.0.0.0 to accept connections on all of them"
            )
    return [(family, address) for family, _, _, _, address in found]
