"""Components that stay loaded from one job to the next."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from ex4d_core.config import Tree
from ex4d_core.pipeline.session import Session
from ex4d_core.progress import Reporter


class Models:
    """Sessions of ex4d that share loaded components; used by one thread at a time."""

    def __init__(self) -> None:
        """Load nothing yet."""
        self._kept = Session(progress=False)
        self.registry = self._kept.registry

    @contextmanager
    def session(self, tables: Tree, reporter: Reporter) -> Iterator[Session]:
        """Yield a session with these settings; its components are kept for the next one.

        The clip is not kept, so that memory does not grow with the number of users.

        Raises:
            Ex4dError: a setting is invalid, or a component cannot be used.
        """
        session = Session(registry=self.registry, reporter=reporter, **tables)
        session.share(self._kept)
        try:
            yield session
            kept = Session(session.config, registry=self.registry, progress=False)
            kept.share(session)
            self._kept = kept
        finally:
            del session
            gc.collect()
