"""Messages for users: one sentence, without the folders of the server."""

from __future__ import annotations

import re

from ex4d_core.errors import Ex4dError, unexpected

_WITHIN = r"""(?:(?![\s'"(]/)[^\n])*?"""  # spaces too, but not the beginning of another path
_FOLDER = re.compile(rf"""(?<![^\s'"(])/{_WITHIN}/[0-9a-f]{{32}}(?:(?P<inside>/)(?:run/)?|(?![^\s'",;)]))""")


def without_folders(text: str) -> str:
    """Return a message with the names of files in projects, but not the folders, which are nothing to a user."""
    return _FOLDER.sub(lambda found: "" if found["inside"] else "this clip", text)


def sentence_of(error: BaseException) -> str:
    """Return an error as a message for a user."""
    return without_folders(str(error) if isinstance(error, Ex4dError) else unexpected(error))
