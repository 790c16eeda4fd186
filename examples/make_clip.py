"""Create the example: a short clip of a synthetic room with exact depth, and optionally true novel views.

    python examples/make_clip.py                    # examples/room/clip.mp4 and depth.npz
    python examples/make_clip.py --novel 60         # outputs/room/novel_60.mkv, lossless ground truth

The depth is metric and along +z, float32 [T, H, W] under the key `depth`, rounded to 1/1024 of a unit, which
improves compression of static regions; `numpy.load` reads it.
"""

from __future__ import annotations

import argparse
import io
import os
import zipfile
from pathlib import Path

import numpy as np

from ex4d_core import Scene, Session, write_video
from ex4d_core.cameras.language import cam_file_part
from ex4d_core.testing.scenes import room_scene

ROOM = Path(__file__).parent / "room"

STEPS_PER_UNIT = 1024
"""Resolution of depth: a power of two, so that rounded values end in zero bits. The error is at most 0.0005 units."""

EPOCH = (1980, 1, 1, 0, 0, 0)
"""Date in the archive, for reproducible files."""


def main() -> None:
    """Parse, make, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--novel", metavar="CAM", help="write the true views along a path such as 60 instead")
    parser.add_argument("-o", "--output", type=Path, help="folder to write to")
    parser.add_argument("--num-frames", type=int, default=49, help="length of the clip (default: 49)")
    parser.add_argument("--size", type=int, default=512, help="width and height in pixels (default: 512)")
    arguments = parser.parse_args()
    clip = room_scene().clip(num_frames=arguments.num_frames, width=arguments.size, height=arguments.size)
    if arguments.novel is None:
        written = write_example(clip, arguments.output or ROOM)
    else:
        written = [write_truth(clip, arguments.novel, arguments.output or Path("outputs/room"))]
    for path in written:
        print(f"{path}  {path.stat().st_size / 1e6:.2f} MB")


def write_example(clip: Scene, folder: Path) -> list[Path]:
    """Write the clip and its depth."""
    video, depth = folder / "clip.mp4", folder / "depth.npz"
    write_video(clip.video, video)
    rounded = np.rint(clip.depth.depth.numpy() * STEPS_PER_UNIT) / STEPS_PER_UNIT
    write_npz(depth, depth=rounded.astype(np.float32))
    return [video, depth]


def write_truth(clip: Scene, cam: str, folder: Path) -> Path:
    """Write what a camera on that path really sees."""
    path = Session().trajectory(cam).path(clip.video.num_frames, clip)
    truth = folder / f"novel_{cam_file_part(cam)}.mkv"
    write_video(room_scene().novel_views(path, fps=clip.video.fps), truth)
    return truth


def write_npz(path: Path, **arrays: np.ndarray) -> None:
    """Write an .npz with LZMA, whose window reaches over many frames; deflate's ends within a tenth of one."""
    partial = path.with_name(f".{path.name}.partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_LZMA) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.save(content, array)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", EPOCH), content.getvalue(), compress_type=zipfile.ZIP_LZMA)
    os.replace(partial, path)


if __name__ == "__main__":
    main()
