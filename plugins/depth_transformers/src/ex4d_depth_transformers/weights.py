"""Locate the weights on this machine, without downloads or heavy imports."""

from __future__ import annotations

from pathlib import Path

import attrs

from ex4d_core.errors import InputNotFound, nearest
from ex4d_core.hub import HubRepo, fetch_command, resolve_weights, weights_hash
from ex4d_core.hub.untrusted_weights import check_files
from ex4d_core.options import option
from ex4d_depth_transformers.model_aliases import DEFAULT, MODELS, SIZES, repo_of

TENSORS = ("*.safetensors", "*.safetensors.index.json")
"""Name patterns of the files with tensors."""

_PATTERNS = ("config.json", "preprocessor_config.json", "*.safetensors*")


@attrs.frozen
class TransformersWeightsOptions:
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
    revision: str = option("main", help="Commit, tag or branch on the hub; ignored for a folder.", affects_output=False)

    def fingerprint(self) -> str:
        """Return a hash of the weights: blob names in the cache of the hub, or hashes of the files in a folder.

        Raises:
            InputNotFound: the weights are not on this machine.
        """
        return weights_hash(locate(self))


def hub_files(options: TransformersWeightsOptions) -> list[HubRepo]:
    """Return the files selected by the options.

    Raises:
        InputNotFound: the model is not a short name, a name on the hub or a folder.
    """
    size = SIZES.get(options.model, 0)
    files = HubRepo(repo=repo_of(options.model), revision=options.revision, patterns=_PATTERNS, size=size)
    if "/" not in files.repo and files.folder() is None:
        guess = nearest(options.model, MODELS, then=f"known: {', '.join(MODELS)}; others by OWNER/NAME on the hub")
        raise InputNotFound(f"{options.model!r} is not a depth model or a folder{guess}")
    return [files]


def locate(options: TransformersWeightsOptions) -> Path:
    """Return the folder with the checkpoint selected by the options.

    Raises:
        InputNotFound: the folder is not a checkpoint, or the hub's cache does not have it; the message has the command.
        InvalidInput: the folder or one of its files cannot be read.
    """
    (files,) = hub_files(options)
    fetch = fetch_command("transformers", options, role="depth", of=("model", "revision"))
    folder = resolve_weights(files, fetch=fetch)
    found = check_files(folder, files.patterns)
    for pattern in files.patterns:
        if not any(path.match(pattern) for path in found):
            fix = "check the folder" if files.folder() else f"run: {fetch}"
            raise InputNotFound(
                f"{folder} has no {pattern.rstrip('*')}, so it is not a checkpoint of a depth model; {fix}"
            )
    return folder
