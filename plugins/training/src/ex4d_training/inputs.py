"""The inputs of a training run, located and checked before anything large is loaded: model and latents."""

from __future__ import annotations

import hashlib
import json

import attrs

from ex4d_backbone_wan.options import WanOptions
from ex4d_backbone_wan.weights import WanCheckpoint, locate
from ex4d_training.checkpoints import InputFingerprints
from ex4d_training.config import TrainConfig
from ex4d_training.data import LatentDataset, Manifest, check_fingerprint


@attrs.frozen(kw_only=True, eq=False)
class TrainInputs:
    """A model, and latents made by its encoders."""

    wan: WanCheckpoint
    data: LatentDataset
    origin: InputFingerprints


def find_inputs(config: TrainConfig) -> TrainInputs:
    """Locate the inputs of a configuration.

    Raises:
        InputNotFound: the weights or the data do not exist.
        InvalidInput: the data are damaged, incomplete, or made by another model.
    """
    model = config.model
    wan = locate(WanOptions(model=model.base, model_revision=model.revision, adapter="none"))
    data = LatentDataset(config.data.path)
    check_fingerprint(data.manifest, wan)
    origin = InputFingerprints(
        model=wan.fingerprint(), data=_identity(data.manifest), rank=model.rank, camera_hidden=model.camera_hidden
    )
    return TrainInputs(wan=wan, data=data, origin=origin)


def _identity(manifest: Manifest) -> str:
    """Return a hash of a manifest, independent of its folder."""
    whole = json.dumps(attrs.asdict(manifest), sort_keys=True)
    return hashlib.blake2b(whole.encode(), digest_size=16).hexdigest()
