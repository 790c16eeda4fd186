"""Where the weights are on this machine. Nothing is downloaded and nothing heavy is imported here."""

from __future__ import annotations

from pathlib import Path

from ex4d_core.errors import InputNotFound, nearest
from ex4d_core.hub import HubRepo, fetch_command, resolve_weights
from ex4d_core.hub.untrusted_weights import check_files
from ex4d_depth_transformers.models import MODELS, repo_of
from ex4d_depth_transformers.options import TransformersOptions

TENSORS = ("*.safetensors", "*.safetensors.index.json")
"""Names of the files with a model's tensors."""

_PATTERNS = ("config.json", "preprocessor_config.json", "*.safetensors*")


def hub_files(options: TransformersOptions) -> list[HubRepo]:
    """Return the files that the options ask for.

    Raises:
        InputNotFound: the model is no short name, no name on the hub and no folder.
    """
    files = HubRepo(repo=repo_of(options.model), revision=options.revision, patterns=_PATTERNS)
    if "/" not in files.repo and files.folder() is None:
        raise InputNotFound(
            f"there is no depth model and no folder {options.model!r}{nearest(options.model, MODELS)}; "
            f"known: {', '.join(MODELS)}; any other by OWNER/NAME on the hub"
        )
    return [files]


def locate(options: TransformersOptions) -> Path:
    """Return the folder with the checkpoint that the options name.

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
            mend = "check the folder that was given" if files.folder() else f"type: {fetch}"
            raise InputNotFound(
                f"{folder} has no {pattern.rstrip('*')}, so it is no checkpoint of a depth model; {mend}"
            )
    return folder
