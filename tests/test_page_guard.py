"""Pages are served to those who have their address, and to nobody else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ex4d_core.errors import InvalidInput
from ex4d_core.page_guard import PageGuard, number_in, numbers_in, text_as_markdown, text_in

HOST = "127.0.0.1:8080"
OWN = ("Origin", f"http://{HOST}")
SOCKET = ("Upgrade", "websocket")


@pytest.fixture
def guard():
    return PageGuard("127.0.0.1", 8080)


def ask(guard, target="/", *headers, host=HOST, method="GET"):
    return guard.check(target, [("Host", host), *headers], method=method)


def with_token(guard):
    return f"/?token={guard.token}"


def cookie(guard):
    """The header that a browser sends after it has opened the address."""
    headers = dict(ask(guard, with_token(guard)).headers)
    return "Cookie", headers["Set-Cookie"].partition(";")[0]


def test_the_address_has_the_token_and_opens_the_page(guard):
    address = guard.address(f"http://{HOST}")
    assert address == f"http://{HOST}/?token={guard.token}"
    assert ask(guard, address.removeprefix(f"http://{HOST}")).is_allowed


def test_a_server_on_all_interfaces_is_reached_by_the_full_name_of_its_machine(monkeypatch):
    monkeypatch.setattr("socket.getfqdn", lambda: "Studio.Example.org")
    everywhere, here = PageGuard("0.0.0.0", 8080), PageGuard("127.0.0.1", 8080)
    assert ask(everywhere, with_token(everywhere), host="studio.example.org:8080").is_allowed
    assert not ask(here, with_token(here), host="studio.example.org:8080").is_allowed


def test_every_server_has_a_token_of_its_own_that_cannot_be_guessed(guard):
    assert re.fullmatch(r"[0-9a-f]{48}", guard.token)
    assert PageGuard("127.0.0.1", 8080).token != guard.token


@pytest.mark.parametrize("target", ["/", "/?token=", "/?token=x", "/?tokens={token}", "/?token={token}x", "/{token}"])
def test_without_the_token_nothing_is_served(guard, target):
    answer = ask(guard, target.format(token=guard.token))
    assert (answer.status, answer.reason) == (403, "The address lacks its token; open the address that ex4d printed.")


def test_the_cookie_stands_for_the_token_and_no_script_or_other_site_gets_it(guard):
    set_cookie = dict(ask(guard, with_token(guard)).headers)["Set-Cookie"]
    assert set_cookie.endswith("; Path=/; HttpOnly; SameSite=Strict")
    assert ask(guard, "/", cookie(guard)).is_allowed
    assert ask(guard, "/", ("Cookie", f"a=b; {cookie(guard)[1]}; ex4d-page-8080=planted")).is_allowed
    assert not ask(guard, "/", ("Cookie", f"other={guard.token}")).is_allowed
    assert "Set-Cookie" not in dict(ask(guard, "/").headers)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "", "a b", "127.0.0.1@x"]
)
def test_under_another_name_nothing_is_served(guard, host):
    assert ask(guard, with_token(guard), host=host).status == 403


@pytest.mark.parametrize("host", ["localhost:8080", "LOCALHOST", "[::1]:8080", "127.0.0.1", "localhost:9000"])
def test_the_names_of_this_machine_are_served_behind_a_forwarded_port_too(guard, host):
    assert ask(guard, with_token(guard), host=host).is_allowed


def test_a_server_for_the_network_is_opened_by_any_address_but_by_no_foreign_name():
    guard = PageGuard("0.0.0.0", 8080)
    assert ask(guard, with_token(guard), host="192.168.1.7:8080").is_allowed
    assert not ask(guard, with_token(guard), host="evil.example:8080").is_allowed


def test_a_name_can_be_added(guard):
    guard.allow_name("x.share.example")
    assert ask(guard, with_token(guard), host="x.share.example").is_allowed
    assert not ask(guard, "/", host="x.share.example").is_allowed


@pytest.mark.parametrize(
    "origin", ["http://127.0.0.1:9999", "http://evil.example", "null", "", "file://", "http://localhost:8080"]
)
def test_other_pages_are_refused_whatever_they_know(guard, origin):
    for headers in ((cookie(guard),), (cookie(guard), SOCKET)):
        assert ask(guard, with_token(guard), ("Origin", origin), *headers).status == 403


def test_a_websocket_and_a_change_have_to_say_where_they_come_from(guard):
    for headers, method in (((SOCKET,), "GET"), ((), "POST")):
        assert ask(guard, with_token(guard), *headers, method=method).status == 403
        assert ask(guard, with_token(guard), *headers, OWN, method=method).is_allowed
        assert ask(guard, "/", *headers, OWN, cookie(guard), method=method).is_allowed
        assert ask(guard, "/", *headers, OWN, method=method).status == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_link_on_another_page_does_not_use_the_cookie(guard, site):
    assert ask(guard, "/?websocket=ws://evil.example", cookie(guard), ("Sec-Fetch-Site", site)).status == 403
    assert ask(guard, with_token(guard), ("Sec-Fetch-Site", site)).is_allowed


def test_what_is_sent_twice_is_refused(guard):
    assert guard.check(with_token(guard), [("Host", HOST), ("host", HOST)]).status == 400
    assert ask(guard, with_token(guard), OWN, OWN).status == 400
    assert guard.check(with_token(guard), []).status == 403


def test_pages_are_not_framed_and_reach_no_other_server(guard):
    for answer in (ask(guard, with_token(guard)), ask(guard, "/")):
        headers = dict(answer.headers)
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"
    policy = dict(ask(guard, with_token(guard)).headers)["Content-Security-Policy"]
    assert f"connect-src 'self' blob: data: ws://{HOST} wss://{HOST};" in policy


header = st.tuples(
    st.sampled_from(["Host", "Origin", "Cookie", "Upgrade", "Sec-Fetch-Site"]),
    st.one_of(st.text(), st.sampled_from([HOST, f"http://{HOST}", "websocket", "ex4d-page-8080=", "same-origin"])),
)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(target=st.text(), headers=st.lists(header, max_size=6), method=st.sampled_from(["GET", "POST", "x"]))
def test_no_request_without_the_token_is_served_and_none_makes_the_check_fail(target, headers, method):
    assert PageGuard("127.0.0.1", 8080, token="secret").check(target, headers, method=method).status in (400, 403)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.text(alphabet=st.sampled_from("`<>&*_{}[]()#\\ \n\ta\x1b\ud800|~!"), min_size=1))
def test_any_text_is_one_code_span(text):
    shown = text_as_markdown(text)
    fence = re.match("`*", shown)[0]
    assert shown.isprintable() or "\t" in shown
    if shown:
        inside = shown[len(fence) : -len(fence)]
        assert shown.endswith(fence)
        assert not re.search(rf"(?<!`){fence}(?!`)", inside)


def test_a_text_keeps_its_characters_and_a_long_one_is_cut():
    assert text_as_markdown("<b>*x*</b>") == "` <b>*x*</b> `"
    assert text_as_markdown("a `b` ``c``") == "``` a `b` ``c`` ```"
    assert text_as_markdown("a\n\n# b") == "` a  # b `"
    assert text_as_markdown(" \n") == ""
    assert len(text_as_markdown("x" * 10**6)) < 1100


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, 11, 10**400, True, "3", None, [3]])
def test_what_is_no_number_in_range_is_refused(value):
    with pytest.raises(InvalidInput, match=r"^the frame is not a number from 0 to 10$"):
        number_in(value, 0, 10, "the frame")


def test_numbers_in_range_are_taken():
    assert number_in(3, 0, 10, "the frame") == 3
    assert number_in(3, 0.0, 10.0, "the angle") == 3.0
    with pytest.raises(InvalidInput):
        number_in(3.5, 0, 10, "the frame")
    assert numbers_in([0, 1.5], 2, 1e9, "the point") == (0, 1.5)


@pytest.mark.parametrize("value", [[1], [1, float("nan")], [1, 1e10], [1, "2"], "12", None, {1: 2}])
def test_lists_of_numbers_have_their_length_and_range(value):
    with pytest.raises(InvalidInput, match="the point is not a"):
        numbers_in(value, 2, 1e9, "the point")


def test_texts_have_a_length():
    assert text_in("abc", 3, "the name") == "abc"
    for value in ("abcd", 3, None):
        with pytest.raises(InvalidInput, match="the name is not a text of at most 3 characters"):
            text_in(value, 3, "the name")
