"""Commands that are printed for users to type: in the words of the shell of the system, PowerShell on Windows."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable

WINDOWS = os.name == "nt"

_PLAIN = re.compile(r"[\w\\/:.=+~^%-]+", re.ASCII)


def quote(word: str) -> str:
    """Return a word for the command line, quoted where the shell would split or expand it."""
    if not WINDOWS:
        return shlex.quote(word)
    return word if _PLAIN.fullmatch(word) else "'" + word.replace("'", "''") + "'"


def command_line(words: Iterable[str]) -> str:
    """Return the words of one command as they are typed."""
    line = " ".join(map(quote, words))
    return f"& {line}" if line.startswith("'") and WINDOWS else line  # else a text, not a command


def in_order(commands: Iterable[str]) -> str:
    """Return several commands in one line; Windows PowerShell does not have `&&`."""
    return ("; " if WINDOWS else " && ").join(commands)


def with_variable(name: str, value: str, command: str) -> str:
    """Return a command that runs with an environment variable."""
    return f"$env:{name}={quote(value)}; {command}" if WINDOWS else f"{name}={quote(value)} {command}"
