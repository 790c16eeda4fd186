"""A depth estimator in a process of its own, while this one loads the backbone.

Python runs one thread at a time: in one process, imports and loading of gigabytes take longer than the estimation that
they accompany, and delay it by as much again.
"""

from __future__ import annotations

import atexit
import io
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any

import attrs

from ex4d_core.errors import Ex4dError, PluginFailed, tracing, unexpected
from ex4d_core.pipeline.devices import device_of
from ex4d_core.pipeline.measure import Usage, count_other_process, measure
from ex4d_core.plugins.stdout_guard import redirect_stdout_to_stderr
from ex4d_core.processes import end_with_parent, exit_reason, join_or_kill, start_process
from ex4d_core.progress import Progress

if TYPE_CHECKING:  # torch takes seconds to import
    from ex4d_core.pipeline.chosen import Chosen
    from ex4d_core.roles import DepthEstimator
    from ex4d_core.types import DepthVideo, Video


@attrs.frozen(kw_only=True)
class _Loaded:
    """Sent when the estimator has loaded its weights."""

    usage: Usage


@attrs.frozen
class _Step:
    """Sent for each call of the progress."""

    done: int
    total: int


@attrs.frozen
class _Warned:
    """Sent for each Python warning."""

    text: str
    kind: type[Warning]
    file: str
    line: int


@attrs.frozen(kw_only=True)
class _Estimated:
    """The result; the depth follows it."""

    notes: list[str]
    warnings: list[str]
    usage: Usage


class EstimatorProcess:
    """A depth estimator that works on the first clip in a process of its own, which then ends, and later in this one.

    Follows `ex4d_core.roles.DepthEstimator`.
    """

    def __init__(self, chosen: Chosen, *, device: str) -> None:
        """Start the process, which loads the weights.

        Args:
            chosen: the installed component and its options.
            device: as in `RunConfig.device`.
        """
        self._chosen = chosen
        self._make: Callable[[], DepthEstimator] | None = None
        self._here: DepthEstimator | None = None
        self._texts: dict[str, list[str]] = {}
        self._process, self._connection = start_process(
            _serve, chosen.offer.full_name, chosen.options, device, name="ex4d depth"
        )
        self._is_loaded, self._is_open = False, True
        atexit.register(self.close)  # the interpreter would wait for the process

    def prepare(self) -> None:
        """Wait until the weights are loaded.

        Raises:
            Ex4dError: the error of the component.
            PluginFailed: the process has ended.
        """
        if not self._is_open or self._is_loaded:
            return
        try:
            self._receive(_Loaded)
            self._is_loaded = True
        except BaseException:
            self.close()
            raise

    def estimate(self, video: Video, *, progress: Progress) -> DepthVideo:
        """Return the depth of a clip.

        Raises:
            Ex4dError: the error of the component.
            PluginFailed: the process has ended.
        """
        if not self._is_open:
            return self._estimator_here().estimate(video, progress=progress)
        self.prepare()
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # reported below
                _send(self._connection, video)
            result = self._receive(_Estimated, progress)
            self._texts = {"notes": result.notes, "warnings": result.warnings}
            depth: DepthVideo = _receive(self._connection)
        finally:
            self.close()
        return depth

    def notes(self) -> list[str]:
        """Return the notes of the component on the last clip."""
        return self._text("notes")

    def warnings(self) -> list[str]:
        """Return the warnings of the component on the last clip."""
        return self._text("warnings")

    def take_over(self, chosen: Chosen, make: Callable[[], DepthEstimator]) -> bool:
        """Return whether this is the selected component; else end the process.

        Args:
            chosen: the selected component and its options.
            make: makes the estimator of later clips, in this process.
        """
        self._make = make
        if chosen != self._chosen:
            self.close()
        return chosen == self._chosen

    def close(self) -> None:
        """End the process, which frees its memory."""
        if self._is_open:
            self._is_open = False
            atexit.unregister(self.close)
            self._connection.close()
            self._process.kill()
            self._process.join()

    def _text(self, name: str) -> list[str]:
        if self._here is None:
            return self._texts.get(name, [])
        texts: list[str] = getattr(self._here, name, lambda: [])()
        return texts

    def _estimator_here(self) -> DepthEstimator:
        if self._here is None:
            assert self._make is not None, "`take_over` sets it"
            self._here = self._make()
        return self._here

    def _receive(self, wanted: type[Any], progress: Progress = lambda done, total: None) -> Any:
        while True:
            try:
                message = self._connection.recv()
            except (EOFError, OSError) as error:
                join_or_kill(self._process)
                raise PluginFailed(f"the process of the depth estimator {exit_reason(self._process)}") from error
            if isinstance(message, _Step):
                progress(message.done, message.total)
            elif isinstance(message, _Warned):
                warnings.warn_explicit(message.text, message.kind, message.file, message.line)
            elif isinstance(message, Exception):
                raise message
            else:
                assert isinstance(message, wanted)
                count_other_process(message.usage)
                return message


def _serve(connection: Connection, name: str, options: object, device: str) -> None:
    """Load the estimator, and estimate the depth of one clip."""
    end_with_parent()
    try:
        with redirect_stdout_to_stderr():
            _work(connection, name, options, device)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the estimator is not needed
    except Exception as error:
        if tracing():
            traceback.print_exception(error)
        with suppress(OSError):
            connection.send(error if isinstance(error, Ex4dError) else PluginFailed(unexpected(error)))


def _work(connection: Connection, name: str, options: object, device: str) -> None:
    from ex4d_core.pipeline.stages import estimate_depth, texts_of
    from ex4d_core.plugins.registry import Registry

    def send_warning(message: Warning | str, kind: type[Warning], file: str, line: int, *_: object) -> None:
        connection.send(_Warned(str(message), kind, file, line))

    warnings.showwarning = send_warning  # type: ignore[assignment]  # the arguments are those of Python
    with measure() as usage:
        registry = Registry()
        estimator: Any = registry.make(registry.find("depth", name), options, device=device_of(device))
        getattr(estimator, "prepare", lambda: None)()
    connection.send(_Loaded(usage=usage))
    video = _receive(connection)
    with measure() as usage:
        depth = estimate_depth(video, estimator, progress=lambda done, total: connection.send(_Step(done, total)))
    notes, warned = (texts_of(estimator, kind) for kind in ("notes", "warnings"))
    connection.send(_Estimated(notes=notes, warnings=warned, usage=usage))
    _send(connection, depth)


class _Pickler(ForkingPickler):
    """Leaves the content of tensors beside the pickle, so that it is not copied."""

    def reducer_override(self, value: Any) -> Any:
        import torch

        if isinstance(value, torch.Tensor):
            return torch.from_numpy, (value.detach().cpu().contiguous().numpy(),)
        return NotImplemented


def _send(connection: Connection, value: object) -> None:
    """Send a value with tensors; without shared memory, of which containers have little."""
    buffers: list[Any] = []
    head = io.BytesIO()
    _Pickler(head, 5, True, buffers.append).dump(value)
    raw = [buffer.raw() for buffer in buffers]
    connection.send((head.getvalue(), [len(part) for part in raw]))
    for part in raw:
        connection.send_bytes(part)


def _receive(connection: Connection) -> Any:
    head, sizes = connection.recv()
    parts = [bytearray(size) for size in sizes]
    for part in parts:
        connection.recv_bytes_into(part)
    return ForkingPickler.loads(head, buffers=parts)
