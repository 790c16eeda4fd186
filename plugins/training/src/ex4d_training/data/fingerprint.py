"""What tells the networks that make latents from others."""

from __future__ import annotations

import attrs

from ex4d_backbone_wan.weights import Checkpoint, Part
from ex4d_core.errors import InvalidInput
from ex4d_training.data.shards import Manifest

_ENCODERS: tuple[Part, ...] = ("vae", "text_encoder", "image_encoder")


def fingerprint_of(checkpoint: Checkpoint) -> str:
    """Return a text that changes when the networks that make latents do: another adapter or LoRA is no matter."""
    files = {part: checkpoint.files[part] for part in _ENCODERS if part in checkpoint.files}
    return attrs.evolve(checkpoint, files=files, adapter=None, loras=()).fingerprint()


def check_fingerprint(manifest: Manifest, checkpoint: Checkpoint) -> None:
    """Refuse latents that other networks made.

    Raises:
        InvalidInput: they did.
    """
    if manifest.fingerprint != fingerprint_of(checkpoint):
        made_by = manifest.made_with.get("model", "another model")
        raise InvalidInput(
            f"these latents were made by {made_by}, and {checkpoint.folder} has other encoders; "
            "prepare the data with the model that is trained"
        )
