"""Prompts and their embeddings, which are kept on disk: the text encoder is the largest thing that is used least."""

from __future__ import annotations

import hashlib
import html
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor
from torch.nn import functional

from ex4d_backbone_wan.weights.loading import TextEncoder
from ex4d_core.errors import InvalidInput, OutputFailed
from ex4d_core.files import atomic_write
from ex4d_core.progress import Progress, silent, track

LENGTH = 512
"""Tokens that the transformer is told; fewer would be taken for a part of the image's."""


def embeddings(
    prompts: Sequence[str],
    *,
    load: Callable[[], TextEncoder],
    device: torch.device,
    identity: str,
    dtype: torch.dtype,
    folder: Path,
) -> list[Tensor]:
    """Return the embedding of each prompt [1, 512, C], on the CPU, 0 after its last token.

    Args:
        prompts: as users wrote them.
        load: gives the text encoder; called once, and only if an embedding is not in `folder` yet.
        device: that the text encoder computes on.
        identity: tells the text encoder's weights from others.
        dtype: of the text encoder.
        folder: where embeddings are kept.
    """
    cleaned = [clean(prompt) for prompt in prompts]
    files = {text: folder / f"{_key(text, identity, dtype)}.safetensors" for text in cleaned}
    known = {text: found for text, file in files.items() if (found := _read(file)) is not None}
    if missing := [text for text in files if text not in known]:
        encoder = load()
        for text in missing:
            known[text] = embed(encoder, text, device=device)
            _write(files[text], known[text])
    return [functional.pad(known[text], (0, 0, 0, LENGTH - len(known[text])))[None] for text in cleaned]


def keep_embeddings(
    prompts: Iterable[str],
    *,
    load: Callable[[], TextEncoder],
    device: torch.device,
    identity: str,
    dtype: torch.dtype,
    folder: Path,
    progress: Progress = silent,
) -> None:
    """Make the embeddings that a folder does not have yet, where `embeddings` finds them; none is held in memory.

    Args:
        prompts: any number of them.
        load: as for `embeddings`, and so are the others.
        device: that the text encoder computes on.
        identity: tells the text encoder's weights from others.
        dtype: of the text encoder.
        folder: where they are kept.
        progress: told how many of those that were missing are made.

    Raises:
        OutputFailed: the folder cannot be written.
    """
    files = {text: folder / f"{_key(text, identity, dtype)}.safetensors" for text in map(clean, prompts)}
    missing = [text for text, file in files.items() if not file.is_file()]
    encoder = load() if missing else None
    for text in track(missing, progress):
        assert encoder is not None
        _save(files[text], embed(encoder, text, device=device))


def clean(prompt: str) -> str:
    """Return a prompt as Wan was trained on: broken Unicode and HTML's entities mended, each run of space one blank."""
    import ftfy

    return " ".join(html.unescape(html.unescape(ftfy.fix_text(prompt))).split())


def embed(encoder: TextEncoder, text: str, *, device: torch.device) -> Tensor:
    """Return the embedding of a cleaned prompt, [tokens, C] on the CPU; what is beyond 512 tokens is cut off.

    Raises:
        InvalidInput: the tokenizer is that of another text encoder.
    """
    tokens = encoder.tokenizer(
        text, padding="max_length", max_length=LENGTH, truncation=True, return_attention_mask=True, return_tensors="pt"
    )
    if int(tokens.input_ids.max()) >= encoder.model.config.vocab_size:
        raise InvalidInput("the tokenizer knows more words than the text encoder; check that they are of one model")
    return embed_tokens(encoder.model, tokens.input_ids.to(device), tokens.attention_mask.to(device))


def embed_tokens(model: Any, ids: Tensor, mask: Tensor) -> Tensor:
    """Return the embedding [tokens, C], on the CPU, of token numbers and a mask, both int64 [1, 512]."""
    with torch.no_grad():
        states = model(ids, attention_mask=mask).last_hidden_state
    embedding: Tensor = states[0, : int(mask.sum())].cpu()
    return embedding


def _key(text: str, identity: str, dtype: torch.dtype) -> str:
    return hashlib.blake2b("\0".join((text, identity, str(dtype))).encode(), digest_size=16).hexdigest()


def _read(file: Path) -> Tensor | None:
    # What cannot be read is made again.
    with suppress(OSError, SafetensorError, KeyError):
        return load_file(file)["embedding"]
    return None


def _write(file: Path, embedding: Tensor) -> None:
    # Where nothing can be kept, the next run takes longer, which is no reason to stop this one.
    with suppress(OutputFailed):
        _save(file, embedding)


def _save(file: Path, embedding: Tensor) -> None:
    # Through bytes: the library's own writer hides that the disk is full in an error of its own.
    with atomic_write(file) as temporary:
        temporary.write_bytes(save({"embedding": embedding.contiguous()}))
