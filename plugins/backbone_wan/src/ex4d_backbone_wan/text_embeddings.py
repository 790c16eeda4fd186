"""Embeddings of prompts, cached on disk, because the text encoder is large and rarely used."""

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
"""Text tokens of the transformer; with fewer, some would be interpreted as image tokens."""


def embeddings(
    prompts: Sequence[str],
    *,
    load: Callable[[], TextEncoder],
    device: torch.device,
    identity: str,
    dtype: torch.dtype,
    folder: Path | None,
) -> list[Tensor]:
    """Return the embedding of each prompt [1, 512, C], on the CPU, 0 after its last token.

    Args:
        prompts: as users wrote them.
        load: loads the text encoder; called at most once, if an embedding is not cached.
        device: of the text encoder.
        identity: hash of the text encoder's weights.
        dtype: of the text encoder.
        folder: of the cache; None without one.
    """
    cleaned = [clean(prompt) for prompt in prompts]
    names = {text: f"{_key(text, identity, dtype)}.safetensors" for text in cleaned}
    known = {text: found for text, name in names.items() if folder and (found := _read(folder / name)) is not None}
    if missing := [text for text in names if text not in known]:
        encoder = load()
        for text in missing:
            known[text] = embed(encoder, text, device=device)
            if folder:
                _write(folder / names[text], known[text])
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
    """Compute missing embeddings into a cache folder for `embeddings`, without holding them in memory.

    Args:
        prompts: any number of them.
        load: loads the text encoder.
        device: of the text encoder.
        identity: hash of the text encoder's weights.
        dtype: of the text encoder.
        folder: of the cache.
        progress: reports computed embeddings.

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
    """Clean a prompt as in Wan's training: fix broken Unicode and HTML entities, collapse whitespace."""
    import ftfy

    return " ".join(html.unescape(html.unescape(ftfy.fix_text(prompt))).split())


def embed(encoder: TextEncoder, text: str, *, device: torch.device) -> Tensor:
    """Return the embedding of a cleaned prompt, [tokens, C] on the CPU, truncated to 512 tokens.

    Raises:
        InvalidInput: the tokenizer does not match the text encoder.
    """
    tokens = encoder.tokenizer(
        text, padding="max_length", max_length=LENGTH, truncation=True, return_attention_mask=True, return_tensors="pt"
    )
    if int(tokens.input_ids.max()) >= encoder.model.config.vocab_size:
        raise InvalidInput("the tokenizer has a larger vocabulary than the text encoder; use those of one model")
    return embed_tokens(encoder.model, tokens.input_ids.to(device), tokens.attention_mask.to(device))


def embed_tokens(model: Any, ids: Tensor, mask: Tensor) -> Tensor:
    """Embed token ids with a mask, both int64 [1, 512]; return [tokens, C] on the CPU."""
    with torch.no_grad():
        states = model(ids, attention_mask=mask).last_hidden_state
    embedding: Tensor = states[0, : int(mask.sum())].cpu()
    return embedding


def _key(text: str, identity: str, dtype: torch.dtype) -> str:
    return hashlib.blake2b("\0".join((text, identity, str(dtype))).encode(), digest_size=16).hexdigest()


def _read(file: Path) -> Tensor | None:
    # An unreadable file is treated as missing.
    with suppress(OSError, SafetensorError, KeyError):
        return load_file(file)["embedding"]
    return None


def _write(file: Path, embedding: Tensor) -> None:
    # Without a cache the next run is slower, but this one need not fail.
    with suppress(OutputFailed):
        _save(file, embedding)


def _save(file: Path, embedding: Tensor) -> None:
    # Not by save_file, whose errors do not state that the disk is full.
    with atomic_write(file) as temporary:
        temporary.write_bytes(save({"embedding": embedding.contiguous()}))
