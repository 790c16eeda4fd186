"""What a run folder holds comes back bit for bit, and damage is noticed."""

import errno
import os
import stat
from fractions import Fraction

import numpy as np
import pytest
import torch

from ex4d_core.errors import InvalidInput, OutputFailed
from ex4d_core.pipeline import codecs
from ex4d_core.pipeline.store import Damaged
from ex4d_core.types import CameraPath, DepthKind, DepthVideo, Guidance, Intrinsics, Origin, Video

ODD = [(1, 17, 19), (5, 33, 48)]
NTSC = Fraction(30000, 1001)


def noise(*shape):
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def cameras(count, width=19, height=17, zooms=False):
    poses = torch.eye(4).repeat(count, 1, 1)
    poses[:, 0, 3] = torch.arange(count) / 3
    lenses = tuple(
        Intrinsics(fx=50 + 1 / 3 + i, fy=51.1, cx=width / 2 + 0.1, cy=height / 2, width=width, height=height)
        for i in range(count if zooms else 1)
    )
    return CameraPath(world_to_camera=poses, intrinsics=lenses)


def same_cameras(a, b):
    return torch.equal(a.world_to_camera, b.world_to_camera) and a.intrinsics == b.intrinsics


@pytest.mark.parametrize(("frames", "height", "width"), ODD)
def test_a_video_comes_back_bit_for_bit(tmp_path, frames, height, width):
    video = Video(frames=noise(frames, height, width, 3), fps=NTSC)
    codecs.save_video(tmp_path, video)
    again = codecs.load_video(tmp_path)
    assert torch.equal(again.frames, video.frames)
    assert (again.fps, again.origin) == (NTSC, None)


@pytest.mark.parametrize("fps", [Fraction(1, 7), Fraction(123457, 1013), Fraction(5000)])
def test_any_rate_and_the_origin_come_back_exactly(tmp_path, fps):
    origin = Origin(
        frame_indices=(3, 5), source_frames=9, source_width=40, source_height=30, left=-1.5, top=0, width=43, height=30
    )
    codecs.save_video(tmp_path, Video(frames=noise(2, 16, 16, 3), fps=fps, origin=origin))
    again = codecs.load_video(tmp_path)
    assert (again.fps, again.origin) == (fps, origin)


@pytest.mark.parametrize(("frames", "height", "width"), ODD)
@pytest.mark.parametrize("zooms", [False, True])
def test_guidance_comes_back_bit_for_bit(tmp_path, frames, height, width, zooms):
    path = cameras(frames, width, height, zooms=zooms)
    mask = noise(frames, height, width) > 127
    guidance = Guidance(color=noise(frames, height, width, 3), mask=mask, cameras=path, fps=NTSC)
    codecs.save_guidance(tmp_path, guidance)
    again = codecs.load_guidance(tmp_path)
    assert torch.equal(again.color, guidance.color)
    assert torch.equal(again.mask, mask)
    assert again.fps == NTSC
    assert same_cameras(again.cameras, path)


@pytest.mark.parametrize("full", [False, True])
def test_depth_comes_back_bit_for_bit(tmp_path, full):
    depth = torch.rand(3, 17, 19)
    depth[0, 0, 0], depth[0, 0, 1] = torch.inf, torch.nan
    lens = Intrinsics(fx=1 / 3, fy=2 / 3, cx=1 / 7, cy=8, width=19, height=17)
    extra = {"valid": depth > 0.5, "cameras": cameras(3)} if full else {}
    value = DepthVideo(depth=depth, kind="affine-inverse", intrinsics=(lens,) * (3 if full else 1), **extra)
    codecs.save_depth(tmp_path, value)
    again = codecs.load_depth(tmp_path)
    assert torch.equal(again.depth.view(torch.int32), depth.view(torch.int32))
    assert (again.kind, again.intrinsics) == (DepthKind.AFFINE_INVERSE, value.intrinsics)
    if full:
        assert torch.equal(again.valid, value.valid)
        assert same_cameras(again.cameras, value.cameras)
    else:
        assert again.valid is None
        assert again.cameras is None


def test_the_cameras_of_guidance_come_back_bit_for_bit(tmp_path):
    path = cameras(4, zooms=True)
    guidance = Guidance(color=noise(4, 16, 16, 3), mask=noise(4, 16, 16) > 9, cameras=path, fps=15)
    codecs.save_guidance(tmp_path, guidance)
    assert same_cameras(codecs.load_guidance(tmp_path).cameras, path)


def saved(folder):
    video = Video(frames=noise(6, 32, 32, 3), fps=30)
    codecs.save_video(folder, video)
    lens = Intrinsics.from_fov(width=32, height=32)
    # Not any values: a flipped bit of padding changes nothing that is decompressed.
    depth = torch.rand(6, 32, 32, generator=torch.Generator().manual_seed(0))
    (folder / "depth").mkdir()
    codecs.save_depth(folder / "depth", DepthVideo(depth=depth, valid=depth > 0.5, kind="metric", intrinsics=lens))
    (folder / "guidance").mkdir()
    guidance = Guidance(color=noise(6, 32, 32, 3), mask=noise(6, 32, 32) > 9, cameras=cameras(6), fps=30)
    codecs.save_guidance(folder / "guidance", guidance)
    return folder


def load_depth(folder):
    return codecs.load_depth(folder / "depth")


def load_guidance(folder):
    return codecs.load_guidance(folder / "guidance")


@pytest.mark.parametrize(
    ("name", "load"),
    [
        ("video.mkv", codecs.load_video),
        ("meta.json", codecs.load_video),
        ("depth/depth.frames", load_depth),
        ("depth/valid.frames", load_depth),
        ("depth/meta.json", load_depth),
        ("depth/cameras.safetensors", load_depth),
        ("guidance/cameras.npz", load_guidance),
    ],
)
@pytest.mark.parametrize("damage", ["missing", "empty", "half", "foreign"])
def test_a_damaged_artifact_is_refused(tmp_path, name, load, damage):
    file = saved(tmp_path) / name
    data = file.read_bytes()
    file.unlink()
    if damage != "missing":
        file.write_bytes({"empty": b"", "half": data[: len(data) // 2], "foreign": b"[1, 2, 3]" * 50}[damage])
    with pytest.raises(Damaged, match=r"the artifact .* is damaged: "):
        load(tmp_path)


@pytest.mark.parametrize(
    ("name", "load"),
    [
        ("video.mkv", codecs.load_video),
        ("depth/depth.frames", load_depth),
        ("depth/valid.frames", load_depth),
        ("depth/cameras.safetensors", load_depth),
        ("guidance/cameras.npz", load_guidance),
    ],
)
def test_one_flipped_byte_is_noticed(tmp_path, name, load):
    file = saved(tmp_path) / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0x10
    file.write_bytes(data)
    with pytest.raises(Damaged, match="is damaged"):
        load(tmp_path)


def test_guidance_may_have_no_cameras(tmp_path):
    guidance = Guidance(color=noise(2, 16, 16, 3), mask=noise(2, 16, 16) > 9, fps=15)
    codecs.save_guidance(tmp_path, guidance)
    again = codecs.load_guidance(tmp_path)
    assert again.cameras is None
    assert torch.equal(again.mask, guidance.mask)


def test_pickled_arrays_are_refused(tmp_path):
    folder = saved(tmp_path) / "guidance"
    np.savez(folder / "cameras.npz", extrinsics=np.array([{}], object), intrinsics=np.eye(3))
    with pytest.raises(InvalidInput, match="is damaged"):
        codecs.load_guidance(folder)


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("no folder")
    lens = Intrinsics.from_fov(width=16, height=16)
    depth = DepthVideo(depth=torch.ones(1, 16, 16), kind="metric", intrinsics=lens)
    for save, value in (
        (codecs.save_depth, depth),
        (codecs.save_video, Video(frames=noise(1, 16, 16, 3), fps=30)),
    ):
        with pytest.raises(OutputFailed, match="cannot be written: "):
            save(tmp_path / "file", value)


LOADERS = {
    "video.mkv": codecs.load_video,
    "meta.json": codecs.load_video,
    "depth/depth.frames": load_depth,
    "depth/cameras.safetensors": load_depth,
    "guidance/cameras.npz": load_guidance,
}


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("name", sorted(LOADERS.keys() - {"video.mkv"}))
def test_what_the_system_refuses_is_not_damage(tmp_path, monkeypatch, name, number):
    saved(tmp_path)

    def refuse(path, *_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("pathlib.Path.read_bytes" if name == "meta.json" else "pathlib.Path.open", refuse)
    monkeypatch.setattr("zipfile.ZipFile", refuse)
    with pytest.raises(InvalidInput, match=os.strerror(number)) as caught:
        LOADERS[name](tmp_path)
    assert not isinstance(caught.value, Damaged)


def test_memory_that_is_short_is_not_damage(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise MemoryError

    saved(tmp_path)
    monkeypatch.setattr("numpy.empty", refuse)
    with pytest.raises(MemoryError):
        codecs.load_video(tmp_path)


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"fps": "1/0", "origin": null, "video": {}}', "[" * 9999, '{"origin": 3}']
)
def test_facts_of_another_kind_are_damage(tmp_path, text):
    (saved(tmp_path) / "meta.json").write_text(text)
    with pytest.raises(Damaged):
        codecs.load_video(tmp_path)


def test_depth_is_the_same_bytes_each_time_and_for_others_to_read(tmp_path):
    lens = Intrinsics.from_fov(width=16, height=16)
    depth = DepthVideo(depth=torch.ones(2, 16, 16), kind="metric", intrinsics=lens)
    written = set()
    for _ in range(8):
        codecs.save_depth(tmp_path, depth)
        written.add((tmp_path / "cameras.safetensors").read_bytes())
    (tmp_path / "other").touch()
    assert len(written) == 1
    assert codecs.load_depth(tmp_path).kind is DepthKind.METRIC
    assert stat.S_IMODE((tmp_path / "cameras.safetensors").stat().st_mode) == stat.S_IMODE(
        (tmp_path / "other").stat().st_mode
    )
