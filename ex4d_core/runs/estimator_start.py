"""Start the depth estimator in a process of its own, before torch is imported."""

from __future__ import annotations

from contextlib import suppress
from multiprocessing.reduction import ForkingPickler

import attrs

from ex4d_core.errors import Ex4dError
from ex4d_core.pipeline.devices import expects_gpu
from ex4d_core.pipeline.estimator_process import EstimatorProcess
from ex4d_core.pipeline.session import Session


def start_estimator(session: Session) -> None:
    """Start the depth estimator of a session in a process of its own, if that is worth it.

    It is if the machine seems to have a GPU, and the estimator and the backbone have weights here.
    """
    if not expects_gpu(session.config.device):
        return
    with suppress(Ex4dError):  # raised where the component is used
        planned = session.changed(attrs.evolve(session.config, download="no"), device_type="cuda")
        both = [planned.choose(role) for role in ("depth", "backbone")]
        if not (all(chosen.offer.spec.weights for chosen in both) and _can_be_sent(both[0].options)):
            return
        process = EstimatorProcess(both[0], device=session.config.device)
        if any(planned.lacks_weights(chosen.offer) for chosen in both):  # the first check imports the client of the hub
            process.close()
        else:
            session.estimator_process = process


def _can_be_sent(options: object) -> bool:
    """Return whether another process can receive the options, which a class inside of a function prevents."""
    try:
        ForkingPickler.dumps(options)
    except Exception:  # of any kind, by the class
        return False
    return True
