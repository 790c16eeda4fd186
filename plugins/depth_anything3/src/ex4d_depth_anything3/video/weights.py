"""Locate the weights on this machine, without downloads or heavy imports."""

from __future__ import annotations

from pathlib import Path

import attrs

from ex4d_core.errors import InputNotFound, nearest
from ex4d_core.hub import HubRepo, fetch_command, file_identities, resolve_weights
from ex4d_core.hub.untrusted_weights import check_files
from ex4d_core.options import option
from ex4d_depth_anything3.video.models import DEFAULT, MODELS

PATTERNS = ("*.pth", "*.safetensors")
"""Files of weights in a folder."""


@attrs.frozen
class VdaWeightsOptions:
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
        """Return a hash of the weights.

        Raises:
            InputNotFound: the weights are not on this machine.
        """
        return file_identities([locate(self)])[0]


def hub_files(options: VdaWeightsOptions) -> list[HubRepo]:
    """Return the file selected by the options.

    Raises:
        InputNotFound: the model is not a short name, a name on the hub or a folder.
    """
    known = MODELS.get(options.model)
    files = HubRepo(
        repo=known.repo if known else options.model,
        revision=options.revision,
        patterns=(known.file,) if known else PATTERNS[:1],
        size=known.size if known else 0,
    )
    if "/" not in files.repo and files.folder() is None:
        guess = nearest(options.model, MODELS, then=f"known: {', '.join(MODELS)}; others by OWNER/NAME on the hub")
        raise InputNotFound(f"{options.model!r} is not a model of Video Depth Anything or a folder{guess}")
    return [files]


def locate(options: VdaWeightsOptions) -> Path:
    """Return the checkpoint.

    Raises:
        InputNotFound: the folder has none, or the hub's cache does not have it; the message has the command.
        InvalidInput: the folder or the file cannot be read, or there are several.
    """
    (files,) = hub_files(options)
    fetch = fetch_command("vda", options, role="depth", of=("model", "revision"))
    folder = resolve_weights(files, fetch=fetch)
    found = check_files(folder, files.patterns if files.folder() is None else PATTERNS)
    if len(found) != 1:
        fix = "use a folder with one" if files.folder() else f"run: {fetch}"
        raise InputNotFound(
            f"{folder} has {len(found) or 'no'} files of weights ({' or '.join(PATTERNS)}), so it is not a checkpoint "
            f"of Video Depth Anything; {fix}"
        )
    return found[0]
