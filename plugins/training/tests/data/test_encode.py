"""Facts about the samples of one video: what a model is shown in training is what it is shown at inference."""

from __future__ import annotations

import attrs
import pytest
import torch

from ex4d_backbone_wan.backbone import encode_known
from ex4d_backbone_wan.conditioning import Known, encode, known_frames
from ex4d_backbone_wan.networks import Networks
from ex4d_core.errors import InvalidConfig
from ex4d_core.masks import MaskOptions, simulate_masks
from ex4d_core.pipeline.session import Session
from ex4d_core.progress import silent
from ex4d_core.types import Scene, Video
from ex4d_core.video_io import read_video, write_video
from ex4d_training.data.encode import VideoEncoder, clips_of, seed_of
from ex4d_training.data.options import DataOptions
from ex4d_training.data.scan import Refusal
from ex4d_training.data.sources import VideoSource, find_videos

CPU = torch.device("cpu")


def source_of(videos) -> VideoSource:
    return find_videos(videos).videos[0]


@pytest.fixture(scope="module")
def samples(job, some_videos, tmp_path_factory):
    texts = tmp_path_factory.mktemp("texts")

    def make(**given):
        return VideoEncoder(job(**given), texts=texts).samples(source_of(some_videos))

    return make


@pytest.fixture(scope="module")
def made(samples):
    return samples()


def test_a_sample_is_what_inference_shows_the_model(made, job, some_videos, tiny_wan):
    """The same guidance goes through the backbone's own way, which ends in the camera encoder's tokens."""
    options = attrs.evolve(job().model, adapter=str(tiny_wan / "ex4d.safetensors"))
    networks = Networks(options, device=CPU)
    clip = read_video(some_videos / "a.mp4", num_frames=9, size=(48, 32))
    (text,) = networks.texts(["a red ball"])
    for sample in made:
        guidance = simulate_masks(clip, options=job().masks, seed=sample.facts["seed"])
        assert 0 < guidance.mask.float().mean() < 1
        with torch.no_grad():
            known = known_frames(guidance.color, guidance.mask, (48, 32))
            shown = encode_known(networks, known, text=text, negative_text=text)
            latents = encode(networks.vae, clip.frames.movedim(-1, 1).float() / 127.5 - 1)
            tokens = networks.camera_encoder(sample.tensors["color"][None], sample.tensors["mask"][None])
        torch.testing.assert_close(tokens, shown.conditioning.camera, atol=1e-5, rtol=0)
        torch.testing.assert_close(sample.tensors["color"], shown.color[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(sample.tensors["y"], shown.conditioning.y[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(sample.tensors["image"], shown.conditioning.image[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(sample.tensors["latents"], latents[0], atol=1e-5, rtol=0)
        assert torch.equal(sample.tensors["text"], text[0, : len(sample.tensors["text"])])
        assert not text[0, len(sample.tensors["text"]) :].any()


def test_each_mask_is_another_and_clips_share_the_rest(made):
    first, second = made
    assert not torch.equal(first.tensors["mask"], second.tensors["mask"])
    for key in ("latents", "text", "y", "image"):
        assert first.tensors[key] is second.tensors[key]
    assert first.facts == {
        "video": "a.mp4",
        "start": 0,
        "caption": "a red ball",
        "mask": 0,
        "seed": first.facts["seed"],
    }


def test_the_seed_decides_the_masks(made, samples):
    first, other = made[0], samples(seed=7, masks_per_clip=1)[0]
    assert torch.equal(first.tensors["latents"], other.tensors["latents"])
    assert not torch.equal(first.tensors["mask"], other.tensors["mask"])


def test_seeds_depend_on_where_a_mask_belongs():
    seeds = {
        seed_of(seed, name, start, number) for seed in (0, 1) for name in "ab" for start in (0, 9) for number in (0, 1)
    }
    assert len(seeds) == 16
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seed_of(1, "a", 0, 0) == seed_of(1, "a", 0, 0)


def test_rendering_masks_take_their_depth_from_the_estimator(samples, job, some_videos, step_depth):
    masks = {"kind": "rendering", "angles": [40.0, 60.0]}
    (sample,) = samples(masks=masks, depth=step_depth, frames=5, masks_per_clip=1)
    video = read_video(some_videos / "a.mp4", num_frames=5, size=(48, 32))
    scene = Scene(
        video=video, depth=Session(depth=step_depth, device="cpu").depth_estimator().estimate(video, progress=silent)
    )
    options = MaskOptions(kind="rendering", angles=(40.0, 60.0))
    mask = simulate_masks(scene, options=options, seed=sample.facts["seed"]).mask
    assert 0 < mask[1:].float().mean() < 1
    networks = Networks(job().model, device=CPU)
    with torch.no_grad():
        wanted = encode(networks.vae, Known(color=torch.zeros(5, 3, 32, 48), mask=mask).mask_video)
    torch.testing.assert_close(sample.tensors["mask"], wanted[0], atol=1e-5, rtol=0)


def test_masks_of_renderings_need_a_depth(job):
    with pytest.raises(InvalidConfig, match=r"need depth: .*--depth.* --set masks.kind"):
        job(masks={"kind": "mixed"})


def test_what_is_kept_is_in_the_precision_that_is_asked_for(samples):
    assert {tensor.dtype for tensor in samples(dtype="bfloat16", frames=5, masks_per_clip=1)[0].tensors.values()} == {
        torch.bfloat16
    }


def test_a_model_that_takes_no_picture_gets_none(samples, monkeypatch):
    monkeypatch.setattr(Networks, "image_encoder", None)
    assert set(samples(frames=5, masks_per_clip=1)[0].tensors) == {"latents", "color", "mask", "text"}


def test_a_video_that_is_cut_off_is_refused(samples, some_videos, job, tmp_path):
    whole = (some_videos / "a.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    refusal = VideoEncoder(job(), texts=tmp_path).samples(VideoSource(name="cut.mp4", path=tmp_path / "cut.mp4"))
    assert isinstance(refusal, Refusal)


def test_a_video_with_damaged_frames_is_refused(some_videos, job, tmp_path):
    """Their repetitions would be learned as if the scene stood still."""
    damaged = bytearray((some_videos / "a.mp4").read_bytes())
    start = damaged.index(b"mdat") + 4
    for at in range(start + 2000, len(damaged) - 3000, 400):
        damaged[at : at + 40] = bytes(40)
    (tmp_path / "damaged.mp4").write_bytes(damaged)
    source = VideoSource(name="damaged.mp4", path=tmp_path / "damaged.mp4")
    refusal = VideoEncoder(job(), texts=tmp_path).samples(source)
    assert isinstance(refusal, Refusal)
    assert refusal.filter == "unreadable"


def test_a_video_with_fewer_frames_than_it_says_is_refused(samples, monkeypatch):
    """As where the first frames cannot be decoded: all samples of a data set have one length."""
    monkeypatch.setattr(
        "ex4d_training.data.encode.read_video",
        lambda path, *, num_frames, **given: read_video(path, num_frames=num_frames - 2, **given),
    )
    refusal = samples()
    assert refusal.filter == "unreadable"
    assert refusal.reason.endswith("a.mp4 has 2 frames fewer than its header states")


def test_a_gpu_that_is_too_small_ends_it_with_what_to_do(samples, monkeypatch):
    def too_large(*_):
        raise torch.OutOfMemoryError("2 GiB")

    monkeypatch.setattr("ex4d_training.data.encode.encode", too_large)
    with pytest.raises(InvalidConfig, match="too little memory for 9 frames of 48x32; use fewer --workers"):
        samples()


@pytest.fixture(scope="module")
def two_shots(some_videos, tmp_path_factory):
    """12 frames of one scene, then 12 of another, mirrored."""
    a, b = (read_video(some_videos / name) for name in ("a.mp4", "b.mp4"))
    path = tmp_path_factory.mktemp("shots") / "shots.mp4"
    write_video(Video(frames=torch.cat([a.frames, b.frames.flip(2)]), fps=a.fps), path)
    return VideoSource(name="shots.mp4", path=path)


def starts(source, **given):
    return [start for start, _ in clips_of(source, DataOptions(**{"size": "48x32", **given}))]


def test_no_clip_goes_over_a_cut(two_shots):
    assert starts(two_shots, frames=9, clips_per_video=5) == [0, 12]
    assert starts(two_shots, frames=9) == [0]
    assert starts(two_shots, frames=13) == []
    assert starts(two_shots, frames=13, cuts="ignore") == [0]


def test_clips_follow_each_other(two_shots):
    assert starts(two_shots, frames=5, clips_per_video=9) == [0, 5, 12, 17]
    assert starts(two_shots, frames=5, fps=6.0, clips_per_video=9) == [0, 13]


def test_a_video_of_short_shots_is_refused(two_shots, job, tmp_path):
    refusal = VideoEncoder(job(frames=13), texts=tmp_path).samples(two_shots)
    assert refusal == Refusal(filter="cuts", reason="it has no 13 consecutive frames without a cut")
