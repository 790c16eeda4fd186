"""Fingerprint of the encoders that made a data set."""

from __future__ import annotations

import attrs

from ex4d_backbone_wan.weights import Part, WanCheckpoint
from ex4d_core.errors import InvalidInput
from ex4d_training.data.shards import Manifest

_ENCODERS: tuple[Part, ...] = ("vae", "text_encoder", "image_encoder")


def fingerprint_of(checkpoint: WanCheckpoint) -> str:
    """Return a hash of the encoders; adapter and LoRAs do not affect latents."""
    files = {part: checkpoint.files[part] for part in _ENCODERS if part in checkpoint.files}
    return attrs.evolve(checkpoint, files=files, adapter=None, loras=()).fingerprint()


def check_fingerprint(manifest: Manifest, checkpoint: WanCheckpoint) -> None:
    """Check that the latents were made by the encoders of a checkpoint.

    Raises:
        InvalidInput: other encoders made them.
    """
    if manifest.fingerprint != fingerprint_of(checkpoint):
        made_by = manifest.made_with.get("model", "another model")
        raise InvalidInput(
            f"these latents were made by {made_by}, and {checkpoint.folder} has other encoders; "
            "prepare the data with the model that is trained"
        )
