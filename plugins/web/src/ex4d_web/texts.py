"""Pieces of HTML: job status, errors, messages. All texts are escaped, since users choose names of files and paths."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from ex4d_web.job_queue import JobStatus
from ex4d_web.sentences import sentence_of

STAGES = {
    "read": "Reading the clip",
    "depth": "Estimating depth",
    "refine": "Refining depth",
    "preview": "Coloring depth",
    "background": "Collecting the static background",
    "guidance": "Rendering the new view",
    "result": "Generating the hidden regions",
}
"""Stages of ex4d in words."""


def escaped(text: object) -> str:
    """Return a text for HTML, with its line breaks."""
    return html.escape(str(text)).replace("\n", "<br>")


def empty(text: str) -> str:
    """Return what stands in place of content that does not exist yet."""
    return f'<p class="ex4d-empty">{escaped(text)}</p>'


def message(text: str) -> str:
    """Return a neutral message."""
    return f'<p class="ex4d-message" role="status">{escaped(text)}</p>'


def failure(error: BaseException | str) -> str:
    """Return an error as one sentence, announced by screen readers."""
    sentence = error if isinstance(error, str) else sentence_of(error)
    marked = escaped(sentence)
    if "\n" in sentence:  # a marked position in a camera path
        marked = f"<pre>{html.escape(sentence)}</pre>"
    return f'<div class="ex4d-error" role="alert">{marked}</div>'


def status(job: JobStatus) -> str:
    """Return the status of a job, with a progress bar while it runs."""
    match job.state:
        case "waiting":
            ahead = f"{job.ahead} job{'s' * (job.ahead != 1)} before yours" if job.ahead else "starts now"
            return message(f"{job.title} is waiting: {ahead}.")
        case "running":
            return _progress(job)
        case "canceled":
            return message(f"{job.title} was canceled.")
        case "failed":
            return failure(job.error)
    return message(f"{job.title} is finished after {_duration(job.seconds)}.")


def _progress(job: JobStatus) -> str:
    stage = STAGES.get(job.stage, job.stage) or f"{job.title} is starting"
    counted = f" {job.done} of {job.total}" if job.total > 1 else ""
    left = "" if job.left is None or job.done >= job.total else f", about {_duration(job.left)} left"
    value = f' value="{job.done}" max="{job.total}"' if job.total else ""
    text = escaped(f"{stage}{counted}, {_duration(job.seconds)}{left}")
    # Only the stage is announced: numbers change several times a second.
    return (
        f'<div class="ex4d-progress"><span class="ex4d-live" role="status">{escaped(stage)}</span>'
        f'<span aria-hidden="true">{text}</span>'
        f'<progress aria-label="{escaped(job.title)}"{value}></progress></div>'
    )


def notes(lines: Iterable[str], *, title: str = "Details") -> str:
    """Return messages as a list that can be opened, or ''."""
    entries = "".join(f"<li>{escaped(line)}</li>" for line in dict.fromkeys(lines))
    head = f'<details class="ex4d-notes"><summary>{escaped(title)}</summary><ul>'
    return f"{head}{entries}</ul></details>" if entries else ""


def coverage(visible: Sequence[float], frames: Sequence[int], warnings: Sequence[str]) -> str:
    """Return the visible share of a path: a number, a bar for each tested frame, and warnings."""
    worst = min(range(len(visible)), key=visible.__getitem__)
    mean = sum(visible) / len(visible)
    bars = "".join(f'<i style="height:{max(2, round(share * 100))}%"></i>' for share in visible)
    head = (
        f"The clip shows {mean:.0%} of the new view, at least {visible[worst]:.0%} (frame {frames[worst]}); "
        "the rest is generated."
    )
    problems = "".join(f'<p class="ex4d-warning" role="status">{escaped(_sentence(line))}</p>' for line in warnings)
    return (
        f'<p class="ex4d-message" role="status">{escaped(head)}</p>'
        f'<div class="ex4d-bars" role="img" aria-label="Visible share of each frame, from '
        f'{visible[0]:.0%} to {visible[-1]:.0%}">{bars}</div>{problems}'
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{round(seconds)} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
