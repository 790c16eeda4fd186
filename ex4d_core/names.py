"""Make safe file and folder names from untrusted text."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator

MOST_BYTES = 255
"""Maximum length of a file name on common file systems, in UTF-8."""

_UNSAFE = re.compile('[\x00-\x1f\x7f-\x9f/\\\\<>:"|?*\u2028\u2029\ud800-\udfff]')
"""Separators, control characters, characters that Windows forbids, and surrogates (bytes that are not UTF-8)."""

_RESERVED = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])\s*(?:\..*)?", re.IGNORECASE)
"""Device names of Windows, with any suffix."""

_OWN = (".part-", ".partial-")
"""Prefixes of temporary folders, which are removed when their process has ended."""

_UNNAMED = "unnamed"


def safe_name(text: str, *, most: int = MOST_BYTES) -> str:
    """Return a text as a file or folder name that is valid on all systems.

    A valid name is returned unchanged. Otherwise invalid characters are replaced and a hash of the text is added,
    so that two texts never get the same name.

    Args:
        text: any text.
        most: maximum length in bytes of UTF-8; at least 64.
    """
    name = _UNSAFE.sub("_", text).rstrip(". ")
    if name.startswith(_OWN) or _RESERVED.fullmatch(name):
        name = f"_{name.removeprefix('.')}"
    if name == text and name and len(name.encode()) <= most:
        return name
    digest = text_hash(text)
    return f"{shortened(name or _UNNAMED, most - len(digest) - 1)}-{digest}"


def shortened(text: str, most: int) -> str:
    """Return the first characters of a text, as many as fit into `most` bytes of UTF-8."""
    return text.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")


def text_hash(text: str) -> str:
    """Return a hash of a text, 16 hex digits (64 bits)."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def name_key(name: str) -> str:
    """Return a key that is equal for names that differ only in case or Unicode normalization."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def numbered(stem: str, suffix: str = "", *, first: int = 1) -> Iterator[str]:
    """Yield STEM-1SUFFIX, STEM-2SUFFIX and so on."""
    number = first
    while True:
        yield f"{stem}-{number}{suffix}"
        number += 1


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Return a sort key that compares the numbers in a name as numbers: frame2 comes before frame10."""
    parts = re.split(r"([0-9]+)", name.lower())
    digits = [part.lstrip("0") if place % 2 else part for place, part in enumerate(parts)]
    # A longer number is larger; numbers may have more digits than Python converts.
    key = [(0, len(part), part) if place % 2 else (1, 0, part) for place, part in enumerate(digits)]
    return [*key, (2, 0, name)]
