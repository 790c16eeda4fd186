"""The sockets of served pages: the first free port, the address to open, and one sentence for what cannot be used."""

import contextlib
import socket

import pytest

from ex4d_core.errors import InvalidInput
from ex4d_core.page_socket import guard_of, listen


@pytest.fixture
def taken():
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def test_the_first_free_port_is_used(taken):
    with listen("127.0.0.1", None, first_port=taken) as door:
        assert taken < door.getsockname()[1] < taken + 100


def test_a_port_in_use_is_refused(taken):
    with pytest.raises(InvalidInput, match=f"the port {taken} at 127.0.0.1 cannot be used: .*; use another --port"):
        listen("127.0.0.1", taken, first_port=8080)


@pytest.mark.parametrize(
    ("host", "opened"), [("localhost", "localhost"), ("[::1]", "[::1]"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]")]
)
def test_the_address_opens_the_page(host, opened):
    with contextlib.closing(listen(host, 0, first_port=8080)) as door:
        guard, url = guard_of(door, host)
        port = door.getsockname()[1]
    assert url == f"http://{opened}:{port}"
    assert guard.check(f"/?token={guard.token}", [("Host", f"{opened}:{port}")]).is_allowed


@pytest.mark.parametrize(
    ("host", "says"),
    [
        (" ", "--host is empty"),
        ("0", "--host 0 stands for all interfaces; use 0.0.0.0"),
        ("no such host", "--host no such host is not an address of this machine"),
        ("192.0.2.1", "the port 0 at 192.0.2.1 cannot be used"),
    ],
)
def test_other_hosts_are_refused(host, says):
    with pytest.raises(InvalidInput, match=says):
        listen(host, 0, first_port=8080)
