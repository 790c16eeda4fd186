"""The viser server admits requests with the address, filters messages, and creates no public address unasked."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import threading
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import msgspec
import pytest
import viser
import viser._messages
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from ex4d_core.errors import InvalidInput, OutputFailed, PluginFailed
from ex4d_core.page_guard import PageGuard
from ex4d_viewer import guarding, incoming
from ex4d_viewer.guarding import GuardedServer
from ex4d_viewer.serving import serve

VERSION = f"viser-v{viser.__version__}"


@pytest.fixture
def served(run, until):
    with serve(run, host="127.0.0.1", port=0, detail=16, most_frames=2) as page:
        until(lambda: "meshes 2 of 2" in page.page.state, "the scene")
        yield page


def place(served):
    return urlsplit(served.url).netloc


def opened(served, target=None, **options):
    """Open a WebSocket as the page does."""
    options = {"origin": f"http://{place(served)}", "subprotocols": [VERSION], "max_size": None} | options
    query = urlsplit(served.url).query if target is None else target
    return connect(f"ws://{place(served)}/?{query}", **options)


def status(url, **headers):
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers


def send(client, kind, **fields):
    client.send(msgspec.msgpack.encode({"type": kind, **fields}))


def set_control(client, control, value):
    send(client, "GuiUpdateMessage", uuid=control._impl.uuid, updates={"value": value})


def press(client, page, text):
    """Press a button of the page."""
    handles = page._server.gui._gui_input_handle_from_uuid.values()
    set_control(client, next(handle for handle in handles if getattr(handle, "label", "") == text), True)


CAMERA = {
    **{"wxyz": [1, 0, 0, 0], "position": [0, 0, -1], "look_at": [0, 0, 1], "up_direction": [0, -1, 0]},
    **{"fov": 0.9, "near": 0.01, "far": 100, "image_height": 480, "image_width": 640},
}


@pytest.fixture
def client(served, until):
    """A registered client that reads all messages."""
    with opened(served) as found:
        reading = threading.Thread(target=lambda: [None for _ in found], daemon=True)
        reading.start()
        send(found, "ViewerCameraMessage", **CAMERA)
        until(lambda: served.page._server.get_clients(), "the client")
        yield found
    reading.join(timeout=10)


def test_the_page_is_for_those_who_have_its_address(served):
    bare = f"http://{place(served)}/"
    assert status(bare)[0] == 403
    assert status(f"{bare}?token=x")[0] == 403
    code, headers = status(served.url)
    assert code == 200
    assert status(bare, Cookie=headers["Set-Cookie"].partition(";")[0])[0] == 200
    assert status(served.url, Host="evil.example")[0] == 403
    assert status(served.url, Origin="http://evil.example")[0] == 403
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


def test_so_is_its_websocket(served):
    for target, origin in (("", f"http://{place(served)}"), (None, None), (None, "http://127.0.0.1:1"), (None, "null")):
        with pytest.raises(InvalidStatus, match="403"), opened(served, target, origin=origin):
            pass
    cookie = status(served.url)[1]["Set-Cookie"].partition(";")[0]
    for target, headers in (("", {"Cookie": cookie}), (None, {})):
        with opened(served, target, additional_headers=headers) as client:
            assert len(client.recv(timeout=10)) > 100


def test_a_version_of_viser_that_starts_otherwise_is_refused(monkeypatch):
    door = socket.create_server(("127.0.0.1", 0))
    address = door.getsockname()
    monkeypatch.setattr(guarding, "_asking", lambda guard, connections, serve_file: serve_file)
    with pytest.raises(PluginFailed, match=r"^viser .* cannot be guarded; try: pip install viser"):
        GuardedServer(PageGuard(*address), door, sharing=False)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


def test_so_is_one_that_does_not_call_what_is_replaced(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as door:
        monkeypatch.setattr(guarding, "_guarded_serving", lambda *_, **__: contextlib.nullcontext([]))
        with pytest.raises(PluginFailed, match="cannot be guarded"):
            GuardedServer(PageGuard(*door.getsockname()), door, sharing=False)


@pytest.mark.parametrize("kind", [*incoming.KINDS, *incoming.SHARING])
def test_the_messages_that_are_taken_have_the_fields_that_viser_gives_them(kind):
    fields = {field.name for field in dataclasses.fields(getattr(viser._messages, kind)) if field.init}
    assert set((incoming.KINDS | incoming.SHARING)[kind]) == fields


def encoded(kind, **fields):
    return msgspec.msgpack.encode({"type": kind, **fields})


def control_set_to(value):
    return encoded("GuiUpdateMessage", uuid="a", updates={"value": value})


NAN, MUCH = float("nan"), 10**9 + 1
MOVED = {"name": "/keyframes/0", "owner": "", "wxyz": [1, 0, 0, 0], "position": [0, 0, 0]}


@pytest.mark.parametrize(
    "message",
    [
        *map(control_set_to, (NAN, MUCH, [1], None, "x" * 5000)),
        *(encoded("GuiUpdateMessage", uuid="a", updates=updates) for updates in ({"label": "x"}, {}, [], {"a": 2})),
        *(encoded("TransformControlsUpdateMessage", **MOVED | {"position": point}) for point in ([NAN] * 3, [0], "")),
        *(encoded("TransformControlsUpdateMessage", **MOVED | {"wxyz": turn}) for turn in ([0] * 4, [3, 0, 0, 0])),
        *(encoded("ViewerCameraMessage", **CAMERA | more) for more in ({"fov": 9}, {"image_width": 0.5}, {"more": 1})),
        *(encoded(kind) for kind in ("ShareUrlRequest", "ShareUrlDisconnect", "FileTransferStartUpload", "")),
        *(b"", b"\xff", b"\x91" * 60000, encoded("GuiUpdateMessage", uuid="x" * 70000), msgspec.msgpack.encode([1])),
        "a text",
    ],
)  # fmt: skip
def test_other_messages_are_dropped(message):
    assert not incoming.is_admitted(message, sharing=False)


def test_messages_of_the_page_are_taken():
    for message in (
        *map(control_set_to, (True, 3, 0.5, "my_path")),
        encoded("TransformControlsUpdateMessage", **MOVED),
        encoded("ViewerCameraMessage", **CAMERA),
    ):
        assert incoming.is_admitted(message, sharing=False)
    assert incoming.is_admitted(encoded("ShareUrlRequest"), sharing=True)


@settings(derandomize=True, max_examples=300, deadline=None)
@given(st.one_of(st.binary(), st.dictionaries(st.text(), st.integers(0, 9)).map(msgspec.msgpack.encode)))
def test_any_bytes_are_taken_or_dropped(raw):
    assert not incoming.is_admitted(raw, sharing=True)


@pytest.mark.slow
def test_a_client_cannot_ask_for_more_than_the_controls_have(served, client, until):
    page = served.page
    set_control(client, page._panel.count, 200_000)
    press(client, page, "Begin with the path above")
    until(lambda: page.keyframes, "the keyframes")
    assert len(page.keyframes) == 12
    for _ in range(40):
        press(client, page, "Add my view as a keyframe")
    until(lambda: "at most 50 keyframes" in page.alert, "the refusal")
    assert len(page.keyframes) == 50
    for number, nearest in ((10**8, 2), (-5, 0)):
        set_control(client, page._panel.time, number)
        until(lambda nearest=nearest: page._panel.time.value == nearest, "the frame in range")
    set_control(client, page._panel.path, "../../etc/passwd")
    until(lambda: page._panel.path.value == page._panel.path.options[0], "a path that is there")
    set_control(client, page._panel.speed, 10**8)
    until(lambda: page.pause == 1 / 30, "the speed in range")


def test_a_client_that_sends_anything_is_survived(served, client, until, capfd):
    page = served.page
    for message in (
        b"\xff",
        b"\x91" * 1000,
        encoded("GuiUpdateMessage", uuid=page._panel.time._impl.uuid, updates={"value": "x"}),
    ):
        client.send(message)
    set_control(client, page._panel.name, "x" * 300)
    press(client, page, "Begin with the path above")
    press(client, page, "Save the path")
    until(lambda: "Not saved" in page._panel.save_result.content, "the refusal")
    assert "is not a file name" in page._panel.save_result.content
    assert page._panel.time.label == "Frame"
    with pytest.raises(ConnectionClosed), opened(served) as other:
        other.send(b"x" * 10**6)
        while True:
            other.recv(timeout=10)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_pages_are_limited(served, monkeypatch):
    monkeypatch.setattr(guarding, "MOST_CLIENTS", 2)
    with opened(served), opened(served), pytest.raises(InvalidStatus, match="503"), opened(served):
        pass
    monkeypatch.setattr(guarding, "MOST_CONNECTIONS", 3)
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(socket.create_connection(urlsplit(served.url).netloc.split(":")))
        with pytest.raises(OSError, match=r"reset|disconnected|closed"):
            urllib.request.urlopen(served.url, timeout=10)


class Tunnel:
    """Stands in for viser's tunnel, which would create a public address."""

    made = 0
    url: str | None = "https://x.share.example"

    def __init__(self, domain, port):
        type(self).made += 1

    def get_status(self):
        return "connected" if self.url else "failed"

    def get_url(self):
        return self.url

    def on_connect(self, callback):
        if self.url:
            callback(8)

    def on_disconnect(self, callback):
        pass

    def close(self):
        pass


@pytest.fixture
def tunnel(monkeypatch):
    made = type("Made", (Tunnel,), {})
    monkeypatch.setattr("viser._viser.ViserTunnel", made)
    return made


def test_no_client_can_make_the_page_public(served, client, tunnel, until):
    send(client, "ShareUrlRequest")
    assert served.page._server.request_share_url() is None  # what viser calls for the message
    set_control(client, served.page._panel.time, 1)
    until(lambda: served.page._panel.time.value == 1, "an answer to what was sent later")
    time.sleep(0.2)  # it would be made in another thread
    assert tunnel.made == 0


def test_a_public_address_is_made_where_it_is_asked_for_and_has_the_token(run, tunnel):
    said = []
    with serve(run, host="127.0.0.1", port=0, detail=16, most_frames=2, share=True, greet=said.append) as served:
        assert said == [served.url, served.public_url]
        assert served.public_url == f"https://x.share.example/?{urlsplit(served.url).query}"
        assert status(served.url, Host="x.share.example")[0] == 200
        assert status(f"http://{place(served)}/", Host="x.share.example")[0] == 403
    assert tunnel.made == 1


def test_without_a_public_address_to_be_had_that_is_said(run, tunnel):
    tunnel.url = None
    with (
        pytest.raises(OutputFailed, match="a public address is not available"),
        serve(run, host="127.0.0.1", port=0, detail=16, most_frames=2, share=True),
    ):
        pass


def test_a_public_address_needs_a_page_that_the_tunnel_finds(run, tunnel):
    with (
        pytest.raises(InvalidInput, match=r"--share requires a page on 127\.0\.0\.1 or 0\.0\.0\.0, not ::1"),
        serve(run, host="::1", port=0, detail=16, most_frames=2, share=True),
    ):
        pass
    assert tunnel.made == 0
