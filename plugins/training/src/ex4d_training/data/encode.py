"""Encoding of a video: clips, simulated masks, and the latents of both."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import attrs
import torch
from torch import Tensor

from ex4d_backbone_wan.conditioning import Known, encode
from ex4d_backbone_wan.networks import Networks
from ex4d_backbone_wan.weights import locate
from ex4d_core.errors import Ex4dError, InputNotFound, InvalidConfig, InvalidInput, OutputFailed, PluginFailed
from ex4d_core.jobs.node import NodeFacts, check_node, node_facts
from ex4d_core.jobs.workers import ATTEMPTS
from ex4d_core.masks import simulate_masks, tracker_of
from ex4d_core.pipeline.session import Session
from ex4d_core.pipeline.stages import estimate_depth
from ex4d_core.types import Scene, Video
from ex4d_core.video_io import probe_video, read_video
from ex4d_training.data.fingerprint import fingerprint_of
from ex4d_training.data.job import NO_DEPTH, Job
from ex4d_training.data.options import DataOptions
from ex4d_training.data.scan import FAILED, Refusal, span, stride
from ex4d_training.data.shards import Sample, write_shard
from ex4d_training.data.shot_detection import find_cuts
from ex4d_training.data.sources import VideoSource


@attrs.frozen(kw_only=True)
class EncodeTask:
    """A video to prepare, and the file for its samples."""

    source: VideoSource
    shard: str
    """Name of the shard that its samples belong to."""
    file: Path
    """File for the samples of this video alone."""

    @property
    def starts(self) -> Path:
        """File with a byte for each time that the encoding was started; removed when it ends."""
        return self.file.with_suffix(".starts")


@attrs.frozen(kw_only=True)
class Node:
    """What a machine must have to prepare videos of one data set."""

    facts: NodeFacts
    fingerprint: str
    """Hash of the encoders."""


def node_of(job: Job) -> Node:
    """Return what this machine has, to be compared with others.

    Raises:
        InputNotFound: weights are not on this machine.
    """
    configs = [] if job.run.depth.name == NO_DEPTH else [job.run]
    return Node(facts=node_facts(configs, "guidance"), fingerprint=fingerprint_of(locate(job.model)))


def default_workers() -> int:
    """Return the default number of processes: one for each GPU, or one without GPUs."""
    return max(1, torch.cuda.device_count())


def make_worker(
    number: int, *, job: Job, workers: int, texts: Path, node: Node | None = None
) -> Callable[[EncodeTask], int | Refusal]:
    """Load the networks and return a function that encodes a video; it returns the number of samples, or a refusal.

    Args:
        number: number of this process; each uses the next GPU.
        job: the options.
        workers: number of processes of this machine.
        texts: folder with the embeddings of all captions.
        node: to be compared with this machine, if another one started the run.

    Raises:
        PluginFailed: this machine differs.
    """
    job = _prepared_process(number, job, workers, node)
    encoder = VideoEncoder(job, texts=texts)
    encoder.load()

    def prepare(piece: EncodeTask) -> int | Refusal:
        if _count_start(piece.starts) > ATTEMPTS:
            return Refusal(filter=FAILED, reason="its process ended each time")
        samples = encoder.samples(piece.source)
        result = samples if isinstance(samples, Refusal) else write_shard(piece.file, samples).samples
        piece.starts.unlink(missing_ok=True)
        return result

    return prepare


def make_embedder(
    number: int, *, job: Job, workers: int, texts: Path, node: Node | None = None
) -> Callable[[Sequence[str]], None]:
    """Return a function that saves the embeddings of captions; the arguments are those of `make_worker`."""
    job = _prepared_process(number, job, workers, node)
    networks = Networks(job.model, device=Session(job.run).device)
    return lambda captions: networks.keep_texts(captions, folder=texts)


def _prepared_process(number: int, job: Job, workers: int, node: Node | None) -> Job:
    """Check this machine, share its cores, and return the job on the GPU of this process."""
    if node is not None:
        _check_node(node, job)
    if workers > 1:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // workers))
    if job.run.device in ("auto", "cuda") and torch.cuda.is_available():
        device = f"cuda:{number % torch.cuda.device_count()}"
        return attrs.evolve(job, run=attrs.evolve(job.run, device=device))
    return job


def _check_node(node: Node, job: Job) -> None:
    check_node(node.facts)
    try:
        found = fingerprint_of(locate(job.model))
    except Ex4dError as error:
        raise PluginFailed(f"the node {socket.gethostname()} lacks the encoders: {error}") from error
    if found != node.fingerprint:
        raise PluginFailed(f"the node {socket.gethostname()} has other encoders in {job.model.model} than this machine")


def _count_start(file: Path) -> int:
    """Add a start of a video to a file, which outlives the process, and return the number of starts.

    Raises:
        OutputFailed: the file cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab") as starts:
            starts.write(b".")
        return file.stat().st_size
    except OSError as error:
        raise OutputFailed(f"{file} cannot be written: {error.strerror or error}") from error


class VideoEncoder:
    """Encodes videos with networks that are loaded once."""

    def __init__(self, job: Job, *, texts: Path, networks: Networks | None = None) -> None:
        """Choose device and components.

        Args:
            job: the options.
            texts: folder with the embeddings of captions.
            networks: encoders; those of the model of the job by default.
        """
        self._job, self._texts = job, texts
        self._session = Session(job.run)
        self._networks = networks or Networks(job.model, device=self._session.device)
        # Reused: the masks of a clip share its optical flow.
        self._tracker = tracker_of(job.masks, device=self._session.device)
        self._first: tuple[Tensor, dict[str, Tensor]] | None = None

    def load(self) -> None:
        """Load all networks, so that their errors are not attributed to a video.

        Raises:
            InvalidInput: a file of weights is damaged.
            InputNotFound: weights are not on this machine.
        """
        _ = self._networks.vae, self._networks.image_encoder
        if self._job.run.depth.name != NO_DEPTH:
            self._session.depth_estimator()

    def samples(self, source: VideoSource) -> list[Sample] | Refusal:
        """Return the samples of a video, `masks_per_clip` for each clip, or a refusal.

        Raises:
            InvalidConfig: the GPU is too small.
            InputNotFound: weights are not on this machine.
        """
        try:
            clips = list(clips_of(source, self._job.data))
        except (InvalidInput, InputNotFound) as error:
            return Refusal(filter="unreadable", reason=str(error))
        if not clips:
            return Refusal(filter="cuts", reason=f"it has no {self._job.data.frames} consecutive frames without a cut")
        try:
            with torch.no_grad():
                return [sample for start, clip in clips for sample in self._of_clip(source, start, clip)]
        except torch.OutOfMemoryError as error:
            raise InvalidConfig(
                f"{self._session.device} has too little memory for {self._job.data.frames} frames of "
                f"{self._job.data.size}; use fewer --workers, a smaller --size, or fewer --frames"
            ) from error
        except InvalidInput as error:
            return Refusal(filter="masks", reason=str(error))

    def _of_clip(self, source: VideoSource, start: int, clip: Video) -> Iterator[Sample]:
        scene = self._scene(clip)
        frames = clip.frames.movedim(-1, 1).float() / 255
        latents, text = self.latents(frames * 2 - 1), self._text(source.caption)
        for number in range(self._job.data.masks_per_clip):
            seed = seed_of(self._job.run.seed, source.name, start, number)
            guidance = simulate_masks(
                scene,
                options=self._job.masks,
                seed=seed,
                builder=self._session.mesh_builder(),
                renderer=self._session.renderer(),
                tracker=self._tracker,
                device=self._session.device,
            )
            known = Known(color=frames, mask=guidance.mask)
            facts = {"video": source.name, "start": start, "caption": source.caption, "mask": number, "seed": seed}
            yield Sample(tensors={"latents": latents, "text": text, **self.shown(known)}, facts=facts)

    def _scene(self, clip: Video) -> Scene | Video:
        if self._job.run.depth.name == NO_DEPTH:
            return clip
        return Scene(video=clip, depth=estimate_depth(clip, self._session.depth_estimator()))

    def shown(self, known: Known) -> dict[str, Tensor]:
        """Return the conditioning of the model for a masked clip, as at inference; the mask is eroded already."""
        image, y = self._networks.first_picture(known.first_picture, len(known.color))
        shown = {"color": self.latents(known.video), "mask": self.latents(known.mask_video)}
        if image is None or y is None:
            return shown
        if self._first is None or self._first[0] is not y:  # masks of one clip share their first frame
            self._first = y, {"y": self._kept(y), "image": self._kept(image)}
        return shown | self._first[1]

    def latents(self, video: Tensor) -> Tensor:
        """Return the latents [16, t, h, w] of a video [T, 3, H, W] in [-1, 1], in the saved precision."""
        with self._networks.coding(video.shape) as vae:
            return self._kept(encode(vae, video))

    def _text(self, caption: str) -> Tensor:
        embedding = self._networks.texts([caption], folder=self._texts)[0]
        tokens = int((embedding[0] != 0).any(dim=-1).sum())  # padding is 0
        return self._kept(embedding[:, :tokens])

    def _kept(self, tensor: Tensor) -> Tensor:
        """Return a tensor [1, ...] on the CPU, in the saved precision and without the first axis."""
        dtype: torch.dtype = getattr(torch, self._job.data.dtype)
        return tensor[0].to("cpu", dtype)


def clips_of(source: VideoSource, options: DataOptions) -> Iterator[tuple[int, Video]]:
    """Yield consecutive clips of a video without cuts, each with the number of its first frame.

    Raises:
        InputNotFound: the file does not exist.
        InvalidInput: the file is damaged, or has fewer frames than its header states.
    """
    info = probe_video(source.path)
    step, reach, start = stride(options, info.fps), span(options, info.fps), 0
    for _ in range(options.clips_per_video):
        while start + reach <= info.num_frames:
            clip = read_video(
                source.path,
                num_frames=options.frames,
                start=start,
                stride=step,
                size=options.width_height,
                fit=options.fit,
                strict=True,
            )
            if clip.num_frames < options.frames:
                raise InvalidInput(
                    f"{source.path} has {options.frames - clip.num_frames} frames fewer than its header states"
                )
            cuts = find_cuts(clip.frames) if options.cuts == "avoid" else []
            if not cuts:
                yield start, clip
                start += reach
                break
            start += cuts[-1] * step


def seed_of(seed: int, *place: object) -> int:
    """Return the seed of one mask, which depends only on the seed of the run and the position of the mask."""
    text = "\0".join(map(str, (seed, *place)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1
