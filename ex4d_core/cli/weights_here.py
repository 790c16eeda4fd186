"""The weights of a component with default options: whether they are here, and their size. No network."""

from __future__ import annotations

from rich import filesize

from ex4d_core.errors import Ex4dError
from ex4d_core.hub.local import find_in_cache
from ex4d_core.plugins.offers import CommandOffer, Offer


def weights_are_here(offer: Offer | CommandOffer) -> bool:
    """Return whether a component or command has all weights that it requires; True if it requires none.

    Raises:
        PluginFailed: the plugin cannot list them.
    """
    needed = offer.default_weights()
    try:
        return all(find_in_cache(files) for files in needed)
    except Ex4dError:  # huggingface_hub is not installed
        return False


def size_of(offer: Offer | CommandOffer) -> str:
    """Return the declared size of the weights, such as `99 MB`, or '' if a part of it is unknown.

    Raises:
        PluginFailed: the plugin cannot list them.
    """
    sizes = [files.size for files in offer.default_weights()]
    if not (sizes and all(sizes)):
        return ""
    return filesize.decimal(sum(sizes), precision=1 if 1e9 <= sum(sizes) < 1e10 else 0)
