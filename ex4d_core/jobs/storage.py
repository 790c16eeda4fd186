"""Inputs and outputs of jobs at URLs such as `s3://bucket/folder`, through fsspec, with a local copy for the work.

The outputs of a job are uploaded first and its record last, so that a record at the URL means that its job is complete.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import attrs
import fsspec

from ex4d_core.errors import Ex4dError, InputNotFound, InvalidInput, OutputFailed, PluginFailed, one_line
from ex4d_core.files import atomic_write
from ex4d_core.names import safe_name, text_hash
from ex4d_core.user_cache import user_cache

_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def is_url(text: str) -> bool:
    """Return whether a text is a URL, not a path; `C:/folder` is a path."""
    return _URL.match(text) is not None


@attrs.frozen
class Storage:
    """The output folder of a manifest: a folder, or a URL and the local folder in which its jobs run."""

    place: str
    """A path or a URL."""

    @property
    def is_remote(self) -> bool:
        """Whether the place is a URL."""
        return is_url(self.place)

    @property
    def folder(self) -> Path:
        """The folder; for a URL, one in the cache of the user, where an interrupted job is resumed."""
        return scratch_folder() / text_hash(self.place) if self.is_remote else Path(self.place)

    def pull(self, *names: str) -> None:
        """Copy files from the URL to the folder, if they exist; nothing for a folder.

        Args:
            names: relative names, or patterns such as `jobs/*.json`.

        Raises:
            InvalidInput: the URL cannot be read.
            PluginFailed: its protocol needs a package that is not installed.
        """
        if not self.is_remote:
            return
        with _access(self.place, InvalidInput):
            for pattern in names:
                found = self._files.glob(f"{self._root}/{pattern}") if "*" in pattern else [f"{self._root}/{pattern}"]
                for remote in found:
                    if self._files.exists(remote):
                        name = PurePosixPath(remote).relative_to(PurePosixPath(self._root))
                        with atomic_write(self.folder / name) as temporary:
                            self._files.get_file(remote, str(temporary))

    def push(self, names: Iterable[str]) -> None:
        """Copy files from the folder to the URL, in order; nothing for a folder.

        Raises:
            OutputFailed: the URL cannot be written to.
            PluginFailed: its protocol needs a package that is not installed.
        """
        if not self.is_remote:
            return
        with _access(self.place, OutputFailed):
            for name in names:
                remote = f"{self._root}/{name}"
                self._files.makedirs(remote.rpartition("/")[0], exist_ok=True)
                self._files.put_file(str(self.folder / name), remote)

    def has(self, name: str) -> bool:
        """Return whether a file exists.

        Raises:
            InvalidInput: the URL cannot be read.
            PluginFailed: its protocol needs a package that is not installed.
        """
        if not self.is_remote:
            return os.path.exists(self.folder / name)
        with _access(self.place, InvalidInput):
            return bool(self._files.exists(f"{self._root}/{name}"))

    @property
    def _files(self) -> Any:
        return fsspec.core.url_to_fs(self.place)[0]

    @property
    def _root(self) -> str:
        root: str = fsspec.core.url_to_fs(self.place)[1]
        return root.rstrip("/")


def scratch_folder() -> Path:
    """Return the folder of local copies of URLs, which need not exist."""
    return (user_cache() or Path(tempfile.gettempdir()) / "ex4d") / "jobs"


def version_of(url: str) -> str:
    """Return a text that changes with the content of a URL.

    Raises:
        InputNotFound: the URL does not exist.
        InvalidInput: it cannot be read.
        PluginFailed: its protocol needs a package that is not installed.
    """
    with _access(url, InvalidInput):
        files, path = fsspec.core.url_to_fs(url)
        return str(files.ukey(path))


def fetched(text: str) -> str:
    """Return the path of a local copy of a URL, made again if its content has changed; a path is returned unchanged.

    Raises:
        InputNotFound: the URL does not exist.
        InvalidInput: it cannot be read.
        OutputFailed: the copy cannot be written.
        PluginFailed: its protocol needs a package that is not installed.
    """
    if not is_url(text):
        return text
    version = text_hash(f"{text}\0{version_of(text)}")
    copy = scratch_folder() / "inputs" / version / safe_name(PurePosixPath(text).name)
    if not copy.exists():
        with _access(text, InvalidInput), atomic_write(copy) as temporary:
            files, path = fsspec.core.url_to_fs(text)
            files.get_file(path, str(temporary))
    return str(copy)


@contextmanager
def _access(url: str, error_class: type[InvalidInput | OutputFailed]) -> Iterator[None]:
    """Convert errors of fsspec and of the libraries behind it to one sentence that names the URL."""
    try:
        yield
    except Ex4dError:
        raise
    except FileNotFoundError as error:
        raise InputNotFound(f"{url} does not exist; check the URL") from error
    except ImportError as error:
        raise PluginFailed(f"{url} needs a package that is not installed: {one_line(error)}") from error
    except Exception as error:  # each protocol has a library with errors of its own
        raise error_class(f"{url} cannot be accessed: {one_line(error)}") from error
