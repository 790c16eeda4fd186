"""Consistency of frames by the image embeddings of CLIP, for videos without truth."""

from __future__ import annotations

import numpy as np

from ex4d_evaluation import networks
from ex4d_evaluation.metric import Column, Frames, Measured, Metric, Region


def clip_consistency(made: Frames, _: Frames, region: Region) -> Measured:
    """Return cosines of the embedding of each frame with those of the frame before and of the first frame.

    Args:
        made: uint8 [T, H, W, 3].
        region: unused; embeddings are of whole frames.

    Returns:
        NaN for the first frame.
    """
    features = networks.clip_features(made).astype(np.float64)
    before = (features[1:] * features[:-1]).sum(axis=1)
    first = features[1:] @ features[0]
    both = (np.maximum(before, 0) + np.maximum(first, 0)) / 2
    return {name: np.concatenate([[np.nan], each]) for name, each in (("clip_frames", before), ("clip_vbench", both))}


METRICS = (
    Metric(
        name="clip",
        against="nothing",
        measure=clip_consistency,
        unavailable=networks.clip_unavailable,
        columns=(
            Column(
                name="clip_frames",
                label="Frame consistency (CLIP)",
                better="higher",
                definition="cosine of the CLIP ViT-B/32 embeddings of each frame and the one before, mean over frames; "
                "a camera that barely moves scores best, so read it beside the camera error",
            ),
            Column(
                name="clip_vbench",
                label="Frame consistency (VBench)",
                better="higher",
                definition="mean of the cosines of the CLIP ViT-B/32 embeddings of each frame with the one before and "
                "with the first one, each at least 0, mean over frames; background consistency of VBench",
            ),
        ),
    ),
)
