"""Errors of callbacks and threads, shown on the page until the same work succeeds."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from typing import Any

from ex4d_core.errors import Ex4dError, tracing, unexpected
from ex4d_core.page_guard import text_as_markdown


class Alerts:
    """Errors by the work that raised them."""

    def __init__(self, markdown: Any) -> None:
        """Show the errors in a Markdown element of the page."""
        self._markdown = markdown
        self._errors: dict[object, str] = {}

    @property
    def text(self) -> str:
        """The errors in Markdown, or ''."""
        return str(self._markdown.content)

    @contextlib.contextmanager
    def showing_errors(self, key: object) -> Iterator[None]:
        """Show an error of the block, until a block with the same key succeeds."""
        try:
            yield
        except Exception as error:
            if tracing():
                traceback.print_exception(error)
            sentence = str(error) if isinstance(error, Ex4dError) else unexpected(error)
            self._errors[key] = f"**Failed**: {text_as_markdown(sentence)}"
        else:
            self._errors.pop(key, None)
        text = "\n\n".join(dict.fromkeys(self._errors.values()))
        if text != self.text:
            self._markdown.content = text
