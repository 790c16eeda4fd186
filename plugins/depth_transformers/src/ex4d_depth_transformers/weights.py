"""Where the weights are on this machine. Nothing is downloaded and nothing heavy is imported here."""

from __future__ import annotations

from pathlib import Path

import attrs

from ex4d_core.errors import InputNotFound, nearest
from ex4d_core.files import weights_hash
from ex4d_core.hub import HubRepo, fetch_command, resolve_weights
from ex4d_core.hub.untrusted_weights import check_files
from ex4d_core.options import option
from ex4d_depth_transformers.model_aliases import DEFAULT, MODELS, repo_of

TENSORS = ("*.safetensors", "*.safetensors.index.json")
"""Names of the files with a model's tensors."""

_PATTERNS = ("config.json", "preprocessor_config.json", "*.safetensors*")


@attrs.frozen
class TransformersWeightsOptions:
    """Options that choose the weights."""

    model: str = option(
        DEFAULT,
        help=(
            "A name on the Hugging Face hub, a folder with a checkpoint, or one of "
            f"{', '.join(f'{name} ({model.license})' for name, model in MODELS.items())}."
        ),
        affects_output=False,  # what it stands for does: the fingerprint
    )
    revision: str = option("main", help="Commit, tag or branch on the hub; a folder has none.", affects_output=False)

    def fingerprint(self) -> str:
        """Return what tells these weights from others: the hub's names of the files, or hashes of a folder's.

        Raises:
            InputNotFound: the weights are not on this machine.
        """
        return weights_hash(locate(self))


def hub_files(options: TransformersWeightsOptions) -> list[HubRepo]:
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


def locate(options: TransformersWeightsOptions) -> Path:
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
