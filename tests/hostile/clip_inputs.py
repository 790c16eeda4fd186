"""Hostile clips and folders of images, and good ones with hostile names."""

from __future__ import annotations

import io
import os
import shutil
import struct
import wave
import zlib
from pathlib import Path

import av
import numpy as np
import OpenEXR
import torch
from PIL import Image

from ex4d_core.testing.scenes import room_scene
from ex4d_core.types import Video
from ex4d_core.video_io import write_mask, write_video

from .places import make_places

FRAMES, SIDE = 5, 96

NAMES = {
    "dots": b"...mp4",
    "two-dots": b"..mp4",
    "four-dots": b"....mp4",
    "escape": b"x\x1b[31mred\x1b]52;c;aGk=\x07.mp4",
    "return": b"over\rwritten.mp4",
    "newline": b"one\nerror: two.mp4",
    "right-to-left": "clip\u202e4pm.mp4".encode(),
    "c1": "clip\x9b31m.mp4".encode(),
    "markup": b"[red].mp4",
    "closing-markup": b"[x].mp4",
    "link": b"[link=a.b]c[bold].mp4",
    "not-utf8": b"\xff\xfe.mp4",
    "percent": b"%s%n%05d.mp4",
    "brackets": b"*[!a]?.mp4",
    "long": b"a" * 251 + b".mp4",
    "dash": b"-x.mp4",
    "blank": b" .mp4",
    "quotes": b"'\"`$(id)`.mp4",
    "con": b"con.mp4",
    "run-json": b"run.json",
}
"""Names of files that are whole videos."""


def make_clips(folder: Path) -> None:
    """Make the good clip with its depth, mask and color, and all that is wrong with others."""
    folder.mkdir()
    clip = room_scene(seed=1).clip(num_frames=FRAMES, width=SIDE, height=SIDE, fps=12)
    write_video(clip.video, folder / "good.mp4")
    write_video(clip.video, folder / "good.mkv")
    np.savez(folder / "good.npz", depth=clip.depth.depth.numpy())
    mask = torch.ones((FRAMES, SIDE, SIDE), dtype=torch.bool)
    mask[:, 20:60, 30:70] = False
    write_mask(mask, folder / "mask.mp4", fps=clip.video.fps)
    write_mask(mask[:3], folder / "short-mask.mp4", fps=clip.video.fps)
    write_mask(mask[:, :64, :64].contiguous(), folder / "small-mask.mp4", fps=clip.video.fps)
    make_places(folder / "places", ".mp4")
    _damaged(folder)
    _of_others(folder, clip.video)
    _playlists(folder)
    _named(folder / "named", folder / "good.mp4")
    _images(folder / "images", clip.video)


def _damaged(folder: Path) -> None:
    whole = {suffix: (folder / f"good.{suffix}").read_bytes() for suffix in ("mp4", "mkv")}
    for suffix, data in whole.items():
        (folder / f"half.{suffix}").write_bytes(data[: len(data) // 2])
        (folder / f"head.{suffix}").write_bytes(data[:64])
        middle = len(data) * 2 // 3
        (folder / f"holed.{suffix}").write_bytes(data[:middle] + bytes(400) + data[middle + 400 :])
        (folder / f"misnamed.{'mkv' if suffix == 'mp4' else 'mp4'}").write_bytes(data)
    with wave.open(str(folder / "sound.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(8000))
    shutil.copyfile(folder / "sound.wav", folder / "sound.mp4")
    (folder / "zip.mp4").write_bytes(b"PK\x05\x06" + bytes(18))
    (folder / "box.mp4").write_bytes(struct.pack(">I4sI4s", 2**31, b"ftyp", 0, b"isom") + bytes(64))
    tiny = torch.zeros((1, 2, 2, 3), dtype=torch.uint8)
    write_video(Video(frames=tiny, fps=12), folder / "tiny.mp4")


def _of_others(folder: Path, video: Video) -> None:
    """Make what cameras and other programs write, damaged."""
    _video(folder / "lost.avi", video, "mjpeg", "yuvj420p")
    data = bytearray((folder / "lost.avi").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 900] = bytes(900)
    (folder / "lost.avi").write_bytes(data)
    _video(folder / "fields.mpg", video, "mpeg2video", "yuv420p", flags="+ildct+ilme")
    _video(folder / "hdr.mkv", video, "ffv1", "gbrp10le")
    whole = (folder / "good.mp4").read_bytes()
    (folder / "moov.mp4").write_bytes(whole.replace(b"moov", b"xxxx"))
    (folder / "photo.jxl").write_bytes(b"\xff\x0a" + bytes(200))
    (folder / "layout.heic").write_bytes(struct.pack(">I4s4sI4s", 20, b"ftyp", b"heic", 0, b"mif1") + whole[20:])
    frames = [Image.fromarray(frame.numpy()) for frame in video.frames]
    frames[0].save(folder / "cut.webp", save_all=True, append_images=frames[1:], lossless=True)
    data = bytearray((folder / "cut.webp").read_bytes())
    (folder / "cut.webp").write_bytes(data[: len(data) // 2])
    (folder / "wide.webp").write_bytes(data[:24] + b"\xff\xff\x00\xff\xff\x00" + data[30:])
    (folder / "noise.webp").write_bytes(data[:200] + bytes(len(data) - 200))
    _exr(folder / "names.exr", {"Z": np.ones((SIDE, SIDE), np.float32)})
    _exr(folder / "cut.exr", {name: np.ones((SIDE, SIDE), np.float32) for name in "RGB"})
    data = bytearray((folder / "cut.exr").read_bytes())
    (folder / "cut.exr").write_bytes(data[: len(data) // 2])
    at = data.index(b"dataWindow") + len(b"dataWindow\0box2i\0") + 4
    (folder / "bomb.exr").write_bytes(data[: at + 8] + struct.pack("<ii", 2**30, 2**30) + data[at + 16 :])


def _video(path: Path, video: Video, codec: str, pix_fmt: str, **options: str) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width = stream.height = SIDE
        stream.pix_fmt = pix_fmt
        if path.suffix == ".mkv":
            stream.codec_context.color_trc, stream.codec_context.color_primaries = 16, 9  # PQ, BT.2020
        for pixels in video.frames:
            frame = av.VideoFrame.from_ndarray(pixels.numpy(), format="rgb24").reformat(format=pix_fmt)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _exr(path: Path, channels: dict[str, np.ndarray]) -> None:
    buffer = io.BytesIO()
    OpenEXR.File({"compression": OpenEXR.NO_COMPRESSION, "type": OpenEXR.scanlineimage}, channels).write(buffer)
    path.write_bytes(buffer.getvalue())


def _playlists(folder: Path) -> None:
    lists = folder / "lists"
    lists.mkdir()
    shutil.copyfile(folder / "good.mp4", lists / "good.mp4")
    shutil.copyfile(folder / "good.mkv", lists / "part.mkv")
    texts = {
        "a.ffconcat": "ffconcat version 1.0\nfile good.mp4\n",
        "b.mp4": "ffconcat version 1.0\nfile part.mkv\n",
        "c.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\ngood.mp4\n#EXT-X-ENDLIST\n",
        "d.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n",
        "e.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
        "f.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"/>',
        "g.svg": '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="/etc/passwd"/></svg>',
    }
    for name, text in texts.items():
        (lists / name).write_text(text)


def _named(folder: Path, clip: Path) -> None:
    folder.mkdir()
    for name in NAMES.values():
        shutil.copyfile(clip, os.path.join(os.fsencode(folder), name))


def _images(folder: Path, video: Video) -> None:
    def picture(frame: int, side: int = SIDE) -> Image.Image:
        return Image.fromarray(video.frames[frame].numpy()).resize((side, side))

    def fill(name: str) -> Path:
        (folder / name).mkdir(parents=True)
        for frame in range(FRAMES):
            picture(frame).save(folder / name / f"{frame:03d}.png")
        return folder / name / "002.png"

    fill("good")
    (fill("bomb")).write_bytes(png_header_bomb())
    data = fill("cut").read_bytes()
    (folder / "cut" / "002.png").write_bytes(data[: len(data) // 2])
    fill("text").write_text("This is a text.")
    fill("empty-one").write_bytes(b"")
    picture(2, 48).save(fill("sizes"))
    fill("unreadable").chmod(0)
    for name in ("fifo", "loop", "zero", "folder"):
        odd = fill(name)
        odd.unlink()
        {
            "fifo": os.mkfifo,
            "loop": lambda path: path.symlink_to(path.name),
            "zero": lambda path: path.symlink_to("/dev/zero"),
            "folder": Path.mkdir,
        }[name](odd)
    (folder / "animated").mkdir()
    frames = [picture(frame) for frame in range(FRAMES)]
    frames[0].save(folder / "animated" / "0.webp", save_all=True, append_images=frames[1:])
    frames[0].save(folder / "animated.webp", save_all=True, append_images=frames[1:])
    (folder / "unlistable").mkdir()
    (folder / "unlistable").chmod(0o111)
    (folder / "none").mkdir()
    (folder / "alone.png").write_bytes(png_header_bomb())
    Image.fromarray(np.zeros((SIDE, SIDE), np.uint16)).save(folder / "deep.png")


def png_header_bomb(side: int = 30_000) -> bytes:
    """Return a small PNG of gigabytes of pixels."""
    packer = zlib.compressobj(1)
    row = bytes(1 + side // 8)
    body = b"".join(packer.compress(row * 100) for _ in range(side // 100)) + packer.flush()

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
