"""Reading ahead in a thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def read_ahead(items: Iterator[Item], *, count: int) -> Generator[Item, None, None]:
    """Yield the items of an endless iterator, while a thread reads the next `count`.

    A thread suffices, since latents are only copied.
    """
    if count == 0:
        yield from items
        return
    thread = ThreadPoolExecutor(1)
    try:
        coming = deque(thread.submit(next, items) for _ in range(count))
        while True:
            item = coming.popleft().result()
            coming.append(thread.submit(next, items))
            yield item
    finally:
        thread.shutdown(cancel_futures=True)
