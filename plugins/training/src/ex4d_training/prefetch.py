"""Reading while the GPU computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def read_ahead(items: Iterator[Item], *, count: int) -> Generator[Item, None, None]:
    """Yield the items of an endless iterator, the next `count` of which are taken by a thread meanwhile.

    A thread and no process: latents are megabytes that are only copied, and a thread cannot be killed on its own.
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
