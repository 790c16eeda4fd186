"""Turn errors of the Hugging Face hub into one sentence with the next step."""

from __future__ import annotations

import errno
import os
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from ex4d_core.errors import DownloadFailed, Ex4dError, OutputFailed, one_line
from ex4d_core.hub.local import HubRepo, huggingface_hub

_AGAIN = "the same command resumes the download"

ANOTHER_DISK = "put the hub's cache on another disk: HF_HOME"
"""Suggestion for a full disk."""


@contextmanager
def asked(files: HubRepo) -> Iterator[None]:
    """Convert every error of the hub's client into our own; use the block for calls of the client only.

    An address, a token or a proxy in environment variables can cause any error.

    Raises:
        DownloadFailed: the hub cannot be reached, or refuses the request.
    """
    try:
        yield
    except (Ex4dError, MemoryError):
        raise
    except Exception as error:
        raise _explanation(error, files) from error


@contextmanager
def explained(files: HubRepo, cache: Path, *, elsewhere: str = ANOTHER_DISK) -> Iterator[None]:
    """Convert errors of the network and of the disk during a download into our own.

    Args:
        files: the requested files.
        cache: the folder that stores them.
        elsewhere: suggestion for a full disk, besides freeing space.

    Raises:
        DownloadFailed: the hub cannot be reached, or refuses the request.
        OutputFailed: the cache cannot be written.
    """
    try:
        yield
    except Ex4dError:
        raise
    except (OSError, huggingface_hub().errors.HTTPError) as error:
        raise _local(error, cache, elsewhere) or _explanation(error, files) from error


def _explanation(error: Exception, files: HubRepo) -> DownloadFailed:
    hub = huggingface_hub()
    place = files.repo if files.kind == "model" else f"{files.kind}s/{files.repo}"
    errors, page = hub.errors, f"{hub.constants.ENDPOINT}/{place}"
    status = getattr(getattr(error, "response", None), "status_code", None)
    if files.web and not isinstance(error, errors.OfflineModeIsEnabled):
        said = f"answers {status}" if status else f"cannot be reached: {_reason(error)}"
        return DownloadFailed(f"{urlsplit(files.web[0].url).netloc} {said}; check the network, {_AGAIN}")
    if isinstance(error, errors.OfflineModeIsEnabled):
        return DownloadFailed(f"{files.repo} cannot be downloaded because HF_HUB_OFFLINE is set; unset it and retry")
    if isinstance(error, errors.GatedRepoError):
        return DownloadFailed(f"{files.repo} is gated: accept its terms at {page}, run `hf auth login`, then retry")
    if isinstance(error, errors.RepositoryNotFoundError):
        return DownloadFailed(
            f"{files.repo} was not found, or access is restricted; check the name, or accept its terms at {page} "
            "and run `hf auth login`"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return DownloadFailed(
            f"{files.repo} has no revision {files.revision!r}; use one of its commits, tags or branches, such as main"
        )
    if status in (401, 403):
        return DownloadFailed(
            f"the hub refused {files.repo} ({status}); check {page} and run `hf auth login`, "
            "then type the command again"
        )
    if status is not None:
        return DownloadFailed(f"the hub answered {status} for {files.repo}; try again later, {_AGAIN}")
    if isinstance(error, OSError | errors.HTTPError):
        checked = "the network and HF_ENDPOINT" if os.environ.get("HF_ENDPOINT") else "the network"
        return DownloadFailed(
            f"the hub ({hub.constants.ENDPOINT}) cannot be reached for {files.repo}: {_reason(error)}; check "
            f"{checked}, {_AGAIN}"
        )
    return DownloadFailed(
        f"the hub ({hub.constants.ENDPOINT}) cannot be asked for {files.repo}: {one_line(error)}; check HF_ENDPOINT, "
        "HF_TOKEN and the variables of the proxy"
    )


def _local(error: Exception, cache: Path, elsewhere: str) -> OutputFailed | None:
    """Return the error of the disk, or None for other errors."""
    if not isinstance(error, OSError) or error.errno is None or isinstance(error, ConnectionError | TimeoutError):
        return None
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputFailed(f"the disk of {cache} is full; free space, or {elsewhere}; {_AGAIN}")
    return OutputFailed(f"{error.filename or cache} cannot be written: {error.strerror}; fix this, or {elsewhere}")


def _reason(error: Exception) -> str:
    return textwrap.shorten(str(error), 300, placeholder=" ...") or type(error).__name__
