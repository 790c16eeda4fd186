"""The backbone `vace`: Wan2.1-VACE. Read `VaceBackbone.generate` first."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property, partial

import torch
from torch import Tensor

from ex4d_backbone_vace.composite import composited
from ex4d_backbone_vace.conditioning import encode_control
from ex4d_backbone_vace.networks import VaceNetworks
from ex4d_backbone_vace.options import VaceOptions
from ex4d_backbone_wan.conditioning import working_size
from ex4d_backbone_wan.generation import generate_video
from ex4d_core.errors import InvalidInput
from ex4d_core.progress import Progress
from ex4d_core.types import Guidance, Scene, Video
from ex4d_core.workspace import NO_WORKSPACE, Workspace


class VaceBackbone:
    """Generates the hidden regions; the networks are loaded for the first clip and reused."""

    def __init__(self, options: VaceOptions, *, device: torch.device) -> None:
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
        """Return the video; with `composite`, visible pixels are those of the guidance, except near holes.

        Args:
            guidance: rendered color and mask.
            scene: its first frame is the reference picture, if the options request one.
            prompt: describes the video, or "" for the prompt of the options.
            seed: of the noise and of the erosion of the mask.
            progress: reports steps, encoding and decoding.
            workspace: stores latents after each step, and publishes `preview` if requested.

        Raises:
            InputNotFound: the weights are not on this machine.
            InvalidInput: see `generate_video`, or a reference picture is requested and there is no scene.
        """
        reference = self._reference(scene)
        scale = self._options.scales
        video = generate_video(
            self._options,
            self.networks,
            guidance,
            encode=partial(encode_control, self.networks, scale=scale, reference=reference),
            leading=0 if reference is None else 1,
            prompt=prompt,
            seed=seed,
            progress=progress,
            workspace=workspace,
        )
        if not self._options.composite:
            return video
        return composited(video, guidance, margin=self._margin(guidance), feather=self._options.feather)

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
    def networks(self) -> VaceNetworks:
        """The networks, loaded at first use."""
        return VaceNetworks(self._options, device=self._device)

    def _reference(self, scene: Scene | None) -> Tensor | None:
        """Return the reference picture, float32 [3, H, W] in [0, 1]."""
        if self._options.reference == "none":
            return None
        if scene is None:
            raise InvalidInput(
                "backbone.reference=first requires the source clip, which a run from guidance files does not have; use "
                "backbone.reference=none"
            )
        return scene.video.frames[0].movedim(-1, 0).float() / 255

    def _margin(self, guidance: Guidance) -> float:
        """Return how far the mask was eroded, in pixels of the clip."""
        height, width = guidance.mask.shape[1:]
        across, _ = working_size(width, height, size=self._options.working_size, fit=self._options.fit)
        most = self._options.eroded[1] if self._options.eroded else 0
        return most / 2 * width / across
