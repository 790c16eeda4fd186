"""Access control for the pages that ex4d serves, and validation of the data that clients send.

Every program on a machine can connect to its ports, and so can every web page that is open in a browser there. With
DNS rebinding, a web page connects under its own host name. `PageGuard.check` admits a request only if it passes all of
these checks:

- Host: the request names this server, and not a foreign name that resolves to this machine.
- Origin: the request was sent by the page of this server. The header is required for a WebSocket and for a request that
  changes state; elsewhere browsers omit it.
- Token: the request carries the secret of this server, in the address (`?token=`) or in the cookie that a request with
  the token sets.

Browsers send a cookie to all ports of a host. This cookie is hidden from scripts and from other sites, but a server of
another user with the same host name receives it if the same browser opens a page of that server.

The module is independent of web frameworks: a server passes in each request and sends the answer.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
import socket
from collections.abc import Iterable
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit, urlunsplit

import attrs

from ex4d_core.errors import InvalidInput
from ex4d_core.terminal import printable

TOKEN = "token"
"""Name of the query parameter that carries the secret."""

ALLOWED, BAD_REQUEST, FORBIDDEN = 200, 400, 403

_READING = ("GET", "HEAD")
"""Methods that change no state, and that browsers send without an origin."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")

_HOST = re.compile(r"(?:\[(?P<v6>[0-9a-f:.]{2,45})\]|(?P<name>[a-z0-9._-]{1,253}))(?::\d{1,5})?")

_MOST_FIELDS = 50
"""Largest number of query parameters."""

Number = TypeVar("Number", int, float)


@attrs.frozen(kw_only=True)
class Answer:
    """The answer to a request."""

    status: int
    """HTTP status; `ALLOWED` if the request may be served."""
    reason: str = ""
    """One sentence to send as plain text if the request is refused."""
    headers: tuple[tuple[str, str], ...] = ()
    """Headers of the response, of a page as well as of a refusal."""

    @property
    def is_allowed(self) -> bool:
        """Whether the request may be served."""
        return self.status == ALLOWED


class PageGuard:
    """The secret of one server, and the check of each request to it."""

    def __init__(self, host: str, port: int, *, token: str | None = None) -> None:
        """Create the guard of a server.

        Args:
            host: host name or address that the server listens on; 0.0.0.0 and :: stand for all interfaces.
            port: port that the server listens on; part of the cookie's name.
            token: the secret; a random one by default.
        """
        self.token = token or secrets.token_hex(24)
        self._cookie = f"ex4d-page-{port}"
        self._names = {*_names_of(host)}
        self._any_address = is_everywhere(host)

    def address(self, url: str) -> str:
        """Return `url` with the token: the address that opens the page."""
        parts = urlsplit(url)
        return urlunsplit(parts._replace(path=parts.path or "/", query=f"{TOKEN}={self.token}"))

    def allow_name(self, name: str) -> None:
        """Admit requests to one more host name, such as the name of a tunnel to this server."""
        self._names.add(name.lower())

    def check(self, target: str, headers: Iterable[tuple[str, str]], *, method: str = "GET") -> Answer:
        """Return whether to serve a request; a malformed one is refused.

        Args:
            target: path and query, as in the first line of the request.
            headers: all header lines as pairs of name and value.
            method: HTTP method.
        """
        try:
            return self._check(target, _by_name(headers), method)
        except Exception:  # a hostile request can make the parsers raise anything; fail closed
            return Answer(status=BAD_REQUEST, reason="The request is malformed.", headers=_protection(None))

    def _check(self, target: str, headers: dict[str, list[str]], method: str) -> Answer:
        host = _only(headers, "host")
        if host is None or not self._is_own(host):
            return _refusal("This page is not served under this name; open the address that ex4d printed.")
        origin, is_socket = _only(headers, "origin"), "websocket" in ",".join(headers.get("upgrade", ())).lower()
        if origin is None and (is_socket or method not in _READING):
            return _refusal("The request lacks the Origin header.")
        if origin is not None and origin.lower() not in (f"http://{host}".lower(), f"https://{host}".lower()):
            return _refusal("The request comes from another page.")
        query = parse_qs(target.partition("?")[2], max_num_fields=_MOST_FIELDS)
        if any(map(self._is_token, query.get(TOKEN, ()))):
            return Answer(status=ALLOWED, headers=(*_protection(host), ("Set-Cookie", self._set_cookie())))
        if headers.get("sec-fetch-site", [""])[0] in ("cross-site", "same-site"):  # a page on another port is same-site
            return _refusal("Another page linked here; open the address that ex4d printed.")
        if any(map(self._is_token, _cookies(headers.get("cookie", ()), self._cookie))):
            return Answer(status=ALLOWED, headers=_protection(host))
        return _refusal("The address lacks its token; open the address that ex4d printed.")

    def _is_own(self, host: str) -> bool:
        found = _HOST.fullmatch(host.lower())
        if found is None:
            return False
        name = found["v6"] or found["name"]
        return name in self._names or (self._any_address and _address(name) is not None)

    def _is_token(self, text: str) -> bool:
        # Hashes are of equal length, so that the comparison takes the same time for any text.
        given, own = (hashlib.sha256(part.encode("utf-8", "surrogatepass")).digest() for part in (text, self.token))
        return hmac.compare_digest(given, own)

    def _set_cookie(self) -> str:
        return f"{self._cookie}={self.token}; Path=/; HttpOnly; SameSite=Strict"


def is_everywhere(host: str) -> bool:
    """Return whether an address stands for all interfaces of the machine."""
    address = _address(host)
    return address is not None and address.is_unspecified


def text_as_markdown(text: object, *, most: int = 1000) -> str:
    """Return Markdown that displays a text literally: a code span, in which Markdown and HTML have no effect.

    Args:
        text: untrusted text.
        most: number of characters after which the text is cut.
    """
    line = " ".join(printable(text).split("\n"))
    line = f"{line[:most]} ..." if len(line) > most else line
    if not line.strip():
        return ""
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    return f"{fence} {line} {fence}"


def number_in(value: object, low: Number, high: Number, what: str) -> Number:
    """Return a number that a client sent; if `low` is an integer, the number must be one.

    Raises:
        InvalidInput: the value is not a number from `low` to `high`, or is NaN.
    """
    kinds = (int,) if isinstance(low, int) else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        raise InvalidInput(f"{what} is not a number from {low} to {high}")
    return type(low)(value)


def numbers_in(value: object, count: int, most: float, what: str) -> tuple[float, ...]:
    """Return a list of numbers that a client sent.

    Raises:
        InvalidInput: the value is not a list of `count` numbers from -`most` to `most`.
    """
    if not isinstance(value, list | tuple) or len(value) != count:
        raise InvalidInput(f"{what} is not a list of {count} numbers")
    return tuple(number_in(number, -float(most), float(most), what) for number in value)


def text_in(value: object, most: int, what: str) -> str:
    """Return a text that a client sent.

    Raises:
        InvalidInput: the value is not a text of at most `most` characters.
    """
    if not isinstance(value, str) or len(value) > most:
        raise InvalidInput(f"{what} is not a text of at most {most} characters")
    return value


def _refusal(reason: str) -> Answer:
    return Answer(status=FORBIDDEN, reason=reason, headers=_protection(None))


def _protection(host: str | None) -> tuple[tuple[str, str], ...]:
    """Return headers that prevent framing, referrers with the token, caching, and connections to other servers."""
    # In older browsers, 'self' does not include WebSockets of the same server.
    reached = "" if host is None else f" ws://{host} wss://{host}"
    policy = f"connect-src 'self' blob: data:{reached}; frame-ancestors 'none'; frame-src 'none'; object-src 'none'"
    return (
        ("Content-Security-Policy", f"{policy}; base-uri 'none'; form-action 'self'"),
        ("X-Frame-Options", "DENY"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Cache-Control", "no-store"),
    )


def _names_of(host: str) -> tuple[str, ...]:
    """Return the host names of a server that listens on `host`."""
    address = _address(host)
    if address is not None and address.is_unspecified:
        own = socket.gethostname().lower()
        return (*_LOOPBACK, own, f"{own}.local", socket.getfqdn().lower())
    if host.lower() == "localhost" or (address is not None and address.is_loopback):
        return (*_LOOPBACK, host.lower())
    return (host.lower(),)


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _by_name(headers: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name.lower(), []).append(value)
    return found


def _only(headers: dict[str, list[str]], name: str) -> str | None:
    """Return the value of a header, or None if it is absent.

    Raises:
        ValueError: the header is repeated.
    """
    values = headers.get(name, [])
    if len(values) > 1:
        raise ValueError(f"the header {name} is repeated")
    return values[0] if values else None


def _cookies(headers: Iterable[str], name: str) -> list[str]:
    """Return the values of all cookies of this name; servers on other ports of the host can set some too."""
    pairs = (pair.strip().partition("=") for header in headers for pair in header.split(";"))
    return [value for key, _, value in pairs if key == name]
