"""State in words how the inputs of two runs differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ex4d_core.bounds import shown
from ex4d_core.pipeline.records import dumped

MOST = 4
"""Number of differences that are named."""

_CONTENTS = {
    "clip.file": "other content of the clip",
    "clip.frames": "other frames",
    "motion.source_cameras": "other source cameras",
}
"""Names of inputs whose values are hashes."""

_HASHES = ("fingerprint", "distribution")


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Return the options that made an old result and differ from those of a new one, with both values; '' if none.

    Args:
        old: inputs of the old result, as recorded in `run.json`.
        new: inputs of the new one.
    """
    before, after = dict(_options(old)), dict(_options(json.loads(dumped(new))))
    changed = [name for name in before if name in after and before[name] != after[name]]
    replaced = {name.removesuffix(".name") for name in changed if name.endswith(".name")}
    texts = []
    for name in changed:
        role, _, option = name.partition(".")
        if role in replaced and option != "name":
            continue  # options of another component
        known = _CONTENTS.get(name) or (f"other files of {role}" if option in _HASHES else "")
        texts.append(known or f"{name.removesuffix('.name')} {_value(before[name])} (now {_value(after[name])})")
    more = [f"{len(texts) - MOST} more"] if len(texts) > MOST else []
    return ", ".join([*dict.fromkeys(texts[:MOST]), *more])


def _options(inputs: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the name and the value of each option in inputs."""
    for key, value in inputs.items():
        name = "" if key in ("guidance", "options", "component", "selection", "given") else key
        if prefix.split(".")[-1] == "depth" and key == "clip":  # the frames belong to no component
            yield from _options(value, "clip")
        elif prefix == "clip" and key == "framing":
            yield "size", "x".join(map(str, value["size"]))
            yield "fit", json.dumps(value["source_box"] + value["box"])
        elif key == "lens" and isinstance(value, Mapping):
            given = value.get("given")
            yield "intrinsics", f"fx={given['fx']:g} fy={given['fy']:g}" if given else "of the depth"
        elif isinstance(value, Mapping):
            yield from _options(value, ".".join(filter(None, (prefix, name))))
        elif prefix == "clip" and key in ("start", "stride", "num_frames"):
            yield key, value
        else:
            yield ".".join(filter(None, (prefix, name or key))), value


def _value(value: Any) -> str:
    return value if isinstance(value, str) and len(value) < 40 else shown(value)
