"""Access to the pages that ex4d serves: who may open them, and what their clients may send.

Every program of a machine can connect to its ports, and so can every web page that somebody opens there; by DNS
rebinding a page can do that under a name of its own. `PageGuard.check` admits a request only if all of these hold:

- Host: it names this server, so that no other name was made to point here.
- Origin: it was sent by this page and by no other. A WebSocket, or a request that changes something, has to say so.
- Token: it has the secret of this server, in the address (`?token=`) or in the cookie that the address has set.

A cookie is sent to all ports of a host. It is marked such that no script and no other site gets it, but a server that
somebody else runs under the same host name sees it if the same browser opens that server's page.

The module depends on no web framework: a server passes the request target and the headers, and sends the answer.
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
"""Name of the parameter of the address that holds the secret."""

ALLOWED, BAD_REQUEST, FORBIDDEN = 200, 400, 403

_READING = ("GET", "HEAD")
"""Methods that change nothing, and that browsers send without an origin."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")

_HOST = re.compile(r"(?:\[(?P<v6>[0-9a-f:.]{2,45})\]|(?P<name>[a-z0-9._-]{1,253}))(?::\d{1,5})?")

_MOST_FIELDS = 50
"""Parameters of an address that are looked at."""

Number = TypeVar("Number", int, float)


@attrs.frozen(kw_only=True)
class Answer:
    """What to answer a request."""

    status: int
    """HTTP status; `ALLOWED` if the request may be served."""
    reason: str = ""
    """One sentence to send as plain text, where the request is refused."""
    headers: tuple[tuple[str, str], ...] = ()
    """To send with the response, whether the request is served or refused."""

    @property
    def is_allowed(self) -> bool:
        """Whether the request may be served."""
        return self.status == ALLOWED


class PageGuard:
    """The secret of one server, and the check of every request to it."""

    def __init__(self, host: str, port: int, *, token: str | None = None) -> None:
        """Guard a server.

        Args:
            host: the name or address that it listens at, as its user gave it; 0.0.0.0 and :: are all interfaces.
            port: that it listens at; the cookie is named after it.
            token: the secret; a new one unless given.
        """
        self.token = token or secrets.token_hex(24)
        self._cookie = f"ex4d-page-{port}"
        self._names = {*_names_of(host)}
        self._any_address = is_everywhere(host)

    def address(self, url: str) -> str:
        """Return the address that opens the page: `url` with the token."""
        parts = urlsplit(url)
        return urlunsplit(parts._replace(path=parts.path or "/", query=f"{TOKEN}={self.token}"))

    def allow_name(self, name: str) -> None:
        """Serve requests for one more host name, such as that of a tunnel to this server."""
        self._names.add(name.lower())

    def check(self, target: str, headers: Iterable[tuple[str, str]], *, method: str = "GET") -> Answer:
        """Decide about a request; one that cannot be understood is refused.

        Args:
            target: path and query, as in the first line of the request.
            headers: names and values in any order, a name as often as it was sent.
            method: of the request.
        """
        try:
            return self._check(target, _by_name(headers), method)
        except Exception:  # whatever a hostile request makes the parsers raise, it does not get in
            return Answer(status=BAD_REQUEST, reason="The request cannot be read.", headers=_protection(None))

    def _check(self, target: str, headers: dict[str, list[str]], method: str) -> Answer:
        host = _only(headers, "host")
        if host is None or not self._is_own(host):
            return _refusal("This page is not served under this name; open the address that ex4d printed.")
        origin, is_socket = _only(headers, "origin"), "websocket" in ",".join(headers.get("upgrade", ())).lower()
        if origin is None and (is_socket or method not in _READING):
            return _refusal("The request does not say which page it comes from.")
        if origin is not None and origin.lower() not in (f"http://{host}".lower(), f"https://{host}".lower()):
            return _refusal("The request comes from another page.")
        query = parse_qs(target.partition("?")[2], max_num_fields=_MOST_FIELDS)
        if any(map(self._is_token, query.get(TOKEN, ()))):
            return Answer(status=ALLOWED, headers=(*_protection(host), ("Set-Cookie", self._set_cookie())))
        if headers.get("sec-fetch-site", [""])[0] in ("cross-site", "same-site"):  # another port is the same site
            return _refusal("Another page led here; open the address that ex4d printed.")
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
        # Hashes have one length, which is compared too.
        given, own = (hashlib.sha256(part.encode("utf-8", "surrogatepass")).digest() for part in (text, self.token))
        return hmac.compare_digest(given, own)

    def _set_cookie(self) -> str:
        return f"{self._cookie}={self.token}; Path=/; HttpOnly; SameSite=Strict"


def is_everywhere(host: str) -> bool:
    """Return whether an address stands for all interfaces of the machine."""
    address = _address(host)
    return address is not None and address.is_unspecified


def text_as_markdown(text: object, *, most: int = 1000) -> str:
    """Return Markdown that shows a text as it is: as code, in which neither Markdown nor HTML is obeyed.

    Args:
        text: of any origin.
        most: characters that are shown; of a longer text the rest is left out.
    """
    line = " ".join(printable(text).split("\n"))
    line = f"{line[:most]} ..." if len(line) > most else line
    if not line.strip():
        return ""
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    return f"{fence} {line} {fence}"


def number_in(value: object, low: Number, high: Number, what: str) -> Number:
    """Return a number that a client sent; where `low` is an integer it has to be one.

    Raises:
        InvalidInput: it is not a number from `low` to `high`; NaN is not.
    """
    kinds = (int,) if isinstance(low, int) else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        raise InvalidInput(f"{what} is not a number from {low} to {high}")
    return type(low)(value)


def numbers_in(value: object, count: int, most: float, what: str) -> tuple[float, ...]:
    """Return a list of numbers that a client sent.

    Raises:
        InvalidInput: it is not a list of `count` numbers from -`most` to `most`.
    """
    if not isinstance(value, list | tuple) or len(value) != count:
        raise InvalidInput(f"{what} is not a list of {count} numbers")
    return tuple(number_in(number, -float(most), float(most), what) for number in value)


def text_in(value: object, most: int, what: str) -> str:
    """Return a text that a client sent.

    Raises:
        InvalidInput: it is not a text of at most `most` characters.
    """
    if not isinstance(value, str) or len(value) > most:
        raise InvalidInput(f"{what} is not a text of at most {most} characters")
    return value


def _refusal(reason: str) -> Answer:
    return Answer(status=FORBIDDEN, reason=reason, headers=_protection(None))


def _protection(host: str | None) -> tuple[tuple[str, str], ...]:
    """Return headers that keep a page out of other pages, its address out of their logs, and its data to itself."""
    # Older browsers do not count WebSockets of the same server among 'self'.
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
    """Return the host names under which a server that listens at `host` is opened."""
    address = _address(host)
    own = socket.gethostname().lower()
    if address is not None and address.is_unspecified:
        return (*_LOOPBACK, own, f"{own}.local")
    if host.lower() == "localhost" or (address is not None and address.is_loopback):
        return (*_LOOPBACK, host.lower())
    return (host.lower(),)


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _by_name(headers: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name.lower(), []).append(value)
    return found


def _only(headers: dict[str, list[str]], name: str) -> str | None:
    """Return the value of a header that is sent once or not at all.

    Raises:
        ValueError: it is sent more often.
    """
    values = headers.get(name, [])
    if len(values) > 1:
        raise ValueError(f"{name} is sent more than once")
    return values[0] if values else None


def _cookies(headers: Iterable[str], name: str) -> list[str]:
    """Return the values of all cookies of a name; other ports of the host can have set some."""
    pairs = (pair.strip().partition("=") for header in headers for pair in header.split(";"))
    return [value for key, _, value in pairs if key == name]
