"""The server starts at a free port, asks for what it should, and is gone at the end."""

from __future__ import annotations

import contextlib
import socket
import sys
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import pytest

from ex4d_core.errors import InputNotFound, InvalidInput
from ex4d_web import cli
from ex4d_web.limits import Limits
from ex4d_web.serving import Access, read_users, serve

pytestmark = pytest.mark.slow


def fetched(url, **headers):
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_the_page_is_there_for_who_has_the_address_and_then_gone(tmp_path):
    greeted = []
    with serve(
        tmp_path / "app",
        access=Access(port=0, users=(("ann", "pass"),)),
        limits=Limits(),
        device="cpu",
        greet=greeted.append,
    ) as served:
        assert greeted == [served.url]
        assert fetched(served.url)[0] == 200
        address = urlsplit(served.url)
        assert fetched(f"http://{address.netloc}/")[0] == 403
        assert fetched(f"http://{address.netloc}/gradio_api/file=/etc/passwd", **served.headers)[0] in (401, 403, 404)
        status, body = fetched(f"http://{address.netloc}/config", **served.headers)
        assert (status, b"Not authenticated" in body) == (401, True)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", address.port)) != 0


def test_the_end_of_the_server_is_silent_while_a_page_is_open(tmp_path, capfd, monkeypatch):
    monkeypatch.delenv("EX4D_TRACE", raising=False)
    with contextlib.ExitStack() as pages:
        with serve(tmp_path / "app", access=Access(port=0), limits=Limits(), device="cpu") as served:
            origin = served.headers["Origin"]
            stream = urllib.request.Request(f"{origin}/gradio_api/heartbeat/page", headers=served.headers)
            pages.enter_context(urllib.request.urlopen(stream))
        assert capfd.readouterr() == ("", "")


def test_a_port_that_is_taken_is_one_sentence(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with (
            pytest.raises(InvalidInput, match=f"the port {port} at 127.0.0.1 cannot be used: .*; use another --port"),
            serve(tmp_path, access=Access(port=port), limits=Limits()),
        ):
            pass


@pytest.mark.parametrize("host", ["no such host", "192.0.2.1", ""])
def test_an_address_of_another_machine_is_one_sentence(tmp_path, host):
    with (
        pytest.raises(InvalidInput, match=r"cannot be used|is not an address of this machine|--host is empty"),
        serve(tmp_path, access=Access(host=host, port=0), limits=Limits()),
    ):
        pass


def test_users_are_read_from_a_file(tmp_path):
    (tmp_path / "users.txt").write_text("ann:a:b\n\nbob: c\n")
    assert read_users(tmp_path / "users.txt") == (("ann", "a:b"), ("bob", " c"))
    (tmp_path / "users.txt").write_text("ann\n")
    with pytest.raises(InvalidInput, match="must have NAME:PASSWORD on each line"):
        read_users(tmp_path / "users.txt")
    with pytest.raises(InputNotFound):
        read_users(tmp_path / "absent.txt")


def test_the_command_says_that_it_starts_before_it_imports_gradio(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ex4d_web.serving", None)
    with pytest.raises(ImportError):
        cli.app()
    assert capsys.readouterr().err == "starting the web app\n"
