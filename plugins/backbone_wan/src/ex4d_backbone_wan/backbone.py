"""The backbone `wan`: Wan with the EX-4D adapter. Read `WanBackbone.generate` first."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property, partial

import torch
from torch import Tensor

from ex4d_backbone_wan.conditioning import Known, encode
from ex4d_backbone_wan.denoiser import Conditioning
from ex4d_backbone_wan.generation import Encoded, generate_video
from ex4d_backbone_wan.networks import Networks
from ex4d_backbone_wan.options import WanOptions
from ex4d_core.progress import Progress
from ex4d_core.types import Guidance, Scene, Video
from ex4d_core.workspace import NO_WORKSPACE, Workspace


class WanBackbone:
    """Generates the hidden regions; the networks are loaded for the first clip and reused."""

    def __init__(self, options: WanOptions, *, device: torch.device) -> None:
        self._options = options
        self._device = device

    def generate(
        self,
        guidance: Guidance,
        scene: Scene | None,
        *,
        prompt: str,
        seed: int,
        progress: Progress,
        workspace: Workspace = NO_WORKSPACE,
    ) -> Video:
        """Return the video; visible regions are generated too, so they are close to the guidance but not equal.

        Args:
            guidance: rendered color and mask.
            scene: not used.
            prompt: describes the video, or "" for the prompt of the options.
            seed: of the noise and of the erosion of the mask.
            progress: reports steps, encoding and decoding.
            workspace: stores latents after each step, and publishes `preview` if requested.

        Raises:
            InputNotFound: the weights are not on this machine.
            InvalidInput: the guidance has no frames, the weights do not match, the GPU has too little memory, or
                the latents are not finite.
        """
        return generate_video(
            self._options,
            self.networks,
            guidance,
            encode=partial(encode_known, self.networks),
            prompt=prompt,
            seed=seed,
            progress=progress,
            workspace=workspace,
        )

    def start(self) -> None:
        """Start the processes of several GPUs; see `ex4d_core.roles`."""
        self.networks.start()

    def prepare(self, *, prompt: str, ahead: bool) -> None:
        """Load the networks and embed the prompt; see `ex4d_core.roles`.

        Raises:
            InputNotFound: the weights are not on this machine.
            InvalidInput: a file is damaged, or its tensors do not match the network.
        """
        with suppress(torch.OutOfMemoryError):  # `generate` loads the rest, and reports the size of the clip
            self.networks.prepare([prompt or self._options.prompt, self._options.negative_prompt], ahead=ahead)

    @cached_property
    def networks(self) -> Networks:
        """The networks, loaded at first use."""
        return Networks(self._options, device=self._device)


def encode_known(networks: Networks, known: Known, *, text: Tensor, negative_text: Tensor) -> Encoded:
    """Encode the conditioning of a window.

    Args:
        networks: VAE, image encoder and camera encoder.
        known: 4k+1 frames.
        text: embedding of the prompt [1, 512, C].
        negative_text: embedding of the negative prompt.
    """
    image, y = networks.first_picture(known.first_picture, len(known.color))
    camera = None
    with networks.coding(known.color.shape) as vae:
        color = encode(vae, known.video)
        if networks.camera_encoder is not None:
            mask = encode(vae, known.mask_video)
            camera = networks.camera_encoder(color.to(networks.dtype), mask.to(networks.dtype))
    return Encoded(
        conditioning=Conditioning(text=text, negative_text=negative_text, image=image, y=y, camera=camera),
        color=color,
    )
