"""Locate the weights on this machine, without downloads or heavy imports."""

from __future__ import annotations

from pathlib import Path

import attrs

from ex4d_core.errors import InputNotFound, nearest
from ex4d_core.hub import HubRepo, fetch_command, resolve_weights, weights_hash
from ex4d_core.hub.untrusted_weights import check_files
from ex4d_core.options import option
from ex4d_depth_anything3.models import DEFAULT, METRIC, MODELS, repo_of

PATTERNS = ("config.json", "*.safetensors")


@attrs.frozen
class Da3WeightsOptions:
    """Options that choose the weights."""

    model: str = option(
        DEFAULT,
        help=(
            "OWNER/NAME on the Hugging Face hub, a folder with a checkpoint, or one of "
            f"{', '.join(f'{name} ({model.license})' for name, model in MODELS.items())}."
        ),
        affects_output=False,  # the fingerprint does
        path=True,
    )
    metric: bool = option(
        False, help=f"Scale depth and poses to meters with a second model, metric_model ({METRIC} by default)."
    )
    metric_model: str = option(
        METRIC, help="The model of metric depth, named as model.", affects_output=False, path=True
    )
    revision: str = option("main", help="Commit, tag or branch on the hub; ignored for a folder.", affects_output=False)

    def fingerprint(self) -> str:
        """Return a hash of the weights: blob names in the cache of the hub, or hashes of the files in a folder.

        Raises:
            InputNotFound: the weights are not on this machine.
        """
        return "+".join(weights_hash(locate(self, model)) for model in models(self))


def models(options: Da3WeightsOptions) -> list[str]:
    """Return the names of the models selected by the options: that of depth, and that of meters if there is one."""
    return [options.model, options.metric_model] if options.metric else [options.model]


def hub_files(options: Da3WeightsOptions) -> list[HubRepo]:
    """Return the files selected by the options.

    Raises:
        InputNotFound: a model is not a short name, a name on the hub or a folder.
    """
    return [_files(options, model) for model in models(options)]


def locate(options: Da3WeightsOptions, model: str) -> Path:
    """Return the folder with the checkpoint of a model.

    Raises:
        InputNotFound: the folder is not a checkpoint, or the hub's cache does not have it; the message has the command.
        InvalidInput: the folder or one of its files cannot be read.
    """
    files = _files(options, model)
    fetch = fetch_command("da3", options, role="depth", of=("model", "metric", "metric_model", "revision"))
    folder = resolve_weights(files, fetch=fetch)
    found = check_files(folder, PATTERNS)
    for pattern in PATTERNS:
        if not any(path.match(pattern) for path in found):
            fix = "check the folder" if files.folder() else f"run: {fetch}"
            raise InputNotFound(
                f"{folder} has no {pattern.lstrip('*')}, so it is not a checkpoint of Depth Anything 3; {fix}"
            )
    if len(found) > len(PATTERNS):
        raise InputNotFound(
            f"{folder} has {len(found) - 1} files of weights (*.safetensors); use a folder with one, as of the models "
            f"{', '.join(MODELS)}"
        )
    return folder


def _files(options: Da3WeightsOptions, model: str) -> HubRepo:
    known = MODELS.get(model)
    size = known.size if known else 0
    files = HubRepo(repo=repo_of(model), revision=options.revision, patterns=PATTERNS, size=size)
    if "/" not in files.repo and files.folder() is None:
        guess = nearest(model, MODELS, then=f"known: {', '.join(MODELS)}; others by OWNER/NAME on the hub")
        raise InputNotFound(f"{model!r} is not a model of Depth Anything 3 or a folder{guess}")
    return files
