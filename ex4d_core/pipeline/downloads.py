"""Download the weights of a component before its first use, if the user agrees."""

from __future__ import annotations

import signal
from collections.abc import Callable

from ex4d_core.errors import Ex4dError
from ex4d_core.hub.download import download
from ex4d_core.plugins.offers import Offer
from ex4d_core.plugins.weights import make_plan
from ex4d_core.progress import Reporter

Consent = Callable[[Offer], bool]
"""Asks the user whether the weights of a component may be downloaded; a Ctrl-C at the question stops the command."""


def is_offered(offer: Offer, options: object) -> bool:
    """Return whether the component declares a download, and the options select these weights."""
    if offer.spec.offer_download is None or offer.missing_requirements():
        return False
    try:
        return offer.weights(options) == offer.weights(offer.spec.options())
    except (Ex4dError, TypeError):  # an option is invalid, or has no default
        return False


def download_weights(offer: Offer, options: object, reporter: Reporter) -> bool:
    """Download the weights of a component, and return whether they are complete; otherwise warn.

    An interrupted download is resumed by the next one. Only a second Ctrl-C stops the command.
    """
    try:
        plan = make_plan(offer, options)
        with reporter.transfer("download") as progress:
            download(plan, progress)
    except KeyboardInterrupt as stop:
        if getattr(stop, "number", signal.SIGINT) != signal.SIGINT:
            raise
        reporter.warn(f"the download was interrupted; `ex4d fetch {offer.name}` resumes it")
        return False
    except Ex4dError as error:
        reporter.warn(f"the weights of {offer.name} were not downloaded: {error}")
        return False
    return True
