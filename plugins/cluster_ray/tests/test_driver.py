"""Connections to a cluster, and its failures as one sentence."""

import socket

import pytest

from ex4d_cluster_ray.driver import _check_address, _connect, _reason, _size
from ex4d_core.errors import InvalidConfig, PluginFailed


def test_each_worker_has_a_gpu_if_there_are_some():
    assert _size({"CPU": 64, "GPU": 8}, None) == (8, 1)
    assert _size({"CPU": 64, "GPU": 1}, 16) == (16, 1)  # the cluster grows
    assert _size({"CPU": 4}, None) == (2, 0)
    assert _size({"CPU": 1}, None) == (1, 0)


def test_a_cluster_that_fails_is_one_line_of_the_traceback_that_ray_returns():
    sentence = "the Ray cluster failed (b); run the same command again to resume"
    assert _reason(RuntimeError("a\nb\n")) == sentence
    assert "RuntimeError" in _reason(RuntimeError())


@pytest.mark.parametrize("target", ["auto", "10.0.0.1:6379"])
def test_an_address_without_a_cluster_is_one_sentence(target):
    class Ray:
        """Finds no cluster, as Ray does; a real search may end the process."""

        @staticmethod
        def init(address, **_):
            raise ConnectionError(f"Could not find any running Ray instance at {address}.\nMore lines.")

    with pytest.raises(InvalidConfig) as error:
        _connect(Ray, target)
    assert str(error.value).startswith(
        f"there is no Ray cluster at '{target}' (Could not find any running Ray instance"
    )
    assert "start one with: ray start --head, or use --ray local" in str(error.value)
    assert str(error.value).endswith("RAY_AUTH_MODE=token") is (target != "auto")


def test_a_cluster_that_does_not_start_in_time_is_tried_again():
    class Ray:
        """Fails twice, as Ray does on a busy machine."""

        tries = 0
        shutdown = staticmethod(lambda: None)

        class data:  # noqa: N801  # named as in Ray
            class DataContext:
                get_current = staticmethod(lambda: Ray)

        @staticmethod
        def init(**_):
            Ray.tries += 1
            if Ray.tries < 3:
                raise Exception("The current node timed out during startup.")

    _connect(Ray, "local")
    assert Ray.tries == 3
    Ray.tries = -9
    with pytest.raises(PluginFailed, match="Ray cannot start: Exception: The current node timed out during startup"):
        _connect(Ray, "local")


def test_an_address_that_cannot_be_reached_is_refused_before_ray_tries_for_minutes():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        _check_address(f"127.0.0.1:{port}")
    with pytest.raises(InvalidConfig, match=rf"there is no Ray cluster at '127.0.0.1:{port}' \(.*refused"):
        _check_address(f"127.0.0.1:{port}")
    for name in ("auto", "local", "ray://head:10001"):
        _check_address(name)
