"""Weights of the networks of metrics; `ex4d fetch eval` downloads them into the cache of the hub."""

from __future__ import annotations

from pathlib import Path

from ex4d_core.errors import Ex4dError, InputNotFound
from ex4d_core.hub import HubRepo, WebFile, find_in_cache

FETCH = "ex4d fetch eval"

_INCEPTION = WebFile(
    path="weights-inception-2015-12-05-6726825d.pth",
    url="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    size=95_628_359,
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
)
_ALEXNET = WebFile(
    path="alexnet-owt-7be5be79.pth",
    url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    size=244_408_911,
    sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
)

WEIGHTS = {
    "Inception": HubRepo(
        repo="github.com/torch-fidelity",
        revision="v0.2.0",
        patterns=(_INCEPTION.path,),
        size=_INCEPTION.size,
        web=(_INCEPTION,),
    ),
    "I3D": HubRepo(
        repo="LanguageBind/Open-Sora-Plan-v1.0.0",
        revision="810fa8c4bdb3a4c8eec9bd57375c29bde6fb46de",
        patterns=("opensora/eval/fvd/videogpt/i3d_pretrained_400.pt",),
        kind="space",
        size=51_000_000,
    ),
    "AlexNet": HubRepo(
        repo="download.pytorch.org/alexnet",
        revision="owt-7be5be79",
        patterns=(_ALEXNET.path,),
        size=_ALEXNET.size,
        web=(_ALEXNET,),
    ),
    "CLIP ViT-B/32": HubRepo(
        repo="openai/clip-vit-base-patch32",
        revision="3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268",
        patterns=("pytorch_model.bin", "config.json"),
        size=605_000_000,
    ),
}
"""By the name of the network; the first pattern is its file of tensors."""

LICENSES = {
    "Inception": "Apache-2.0",
    "I3D": "Apache-2.0",
    "AlexNet": "BSD-3-Clause",
    "CLIP ViT-B/32": "MIT",
}
"""Licenses of the weights, by the name of the network."""


def hub_files() -> list[HubRepo]:
    """Return the files of all networks."""
    return list(WEIGHTS.values())


def weights_problem(network: str) -> str:
    """Return how to obtain the weights of a network that are not on this machine, or ''; nothing is downloaded."""
    files = WEIGHTS[network]
    try:
        found = find_in_cache(files)
    except Ex4dError as error:
        return str(error)
    return "" if found else f"the weights of {network} ({files.size / 1e6:.0f} MB) are missing; run: {FETCH}"


def weights_file(network: str) -> Path:
    """Return the file with the tensors of a network.

    Raises:
        InputNotFound: it is not on this machine.
    """
    folder = find_in_cache(WEIGHTS[network])
    if folder is None:
        raise InputNotFound(weights_problem(network))
    return folder / WEIGHTS[network].patterns[0]
