"""Lock of an output folder."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ex4d_core.errors import InvalidInput, OutputFailed

_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)


@contextmanager
def only_run(lock_file: Path, folder: Path, *, does: str) -> Iterator[None]:
    """Lock a folder during the block. The system releases the lock of a killed run.

    On file systems without locks, such as some of clusters, the block runs without one.

    Args:
        lock_file: created in the folder, and not deleted.
        folder: the folder, for messages.
        does: verb for messages, such as "trains in".

    Raises:
        InvalidInput: another run has locked the folder.
        OutputFailed: the folder cannot be written.
    """
    try:
        lock_file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(lock_file)
        lock.acquire(blocking=False)
    except Timeout as error:
        raise InvalidInput(
            f"another run {does} {folder} now; wait until it ends, or use another --output-dir"
        ) from error
    except (OSError, ValueError, NotImplementedError) as error:  # ValueError: a NUL in the name
        if not isinstance(error, NotImplementedError) and getattr(error, "errno", None) not in _NO_LOCKS:
            raise OutputFailed(f"{folder} cannot be written: {getattr(error, 'strerror', None) or error}") from error
    try:
        yield
    finally:
        lock.release()
