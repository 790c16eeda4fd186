"""Calls of the reader of depth files, and writers of archives, for its tests."""

from fractions import Fraction

import numpy as np
import torch

from ex4d_core.builtin.depth_file import DepthFile
from ex4d_core.builtin.depth_file_options import DepthFileOptions
from ex4d_core.progress import silent
from ex4d_core.types import Video
from tests.depth_io import scene
from tests.depth_io.scene import COUNT, HEIGHT, WIDTH, exr, write_files

SKY = np.isinf(scene.depth())
F32 = np.float32


def clip(count=COUNT):
    return Video(frames=torch.zeros(count, HEIGHT, WIDTH, 3, dtype=torch.uint8), fps=Fraction(30))


def opened(path, *, count=COUNT, **options):
    """Return the depth of a file, and the notes and warnings of the reader."""
    file = DepthFile(DepthFileOptions(path=str(path), **options), device=torch.device("cpu"))
    depth = file.estimate(clip(count), progress=silent)
    return depth, " ".join([*file.notes(), *file.warnings()])


def npz(**arrays):
    """Return a function that writes an archive."""

    def write(folder):
        np.savez(folder / "d.npz", **arrays)
        return folder / "d.npz"

    return write


def npy(values):
    """Return a function that writes an array."""

    def write(folder):
        np.save(folder / "d.npy", values)
        return folder / "d.npy"

    return write


def images(name, contents):
    """Return a function that writes a folder of images."""
    return lambda folder: write_files(folder / "maps", name, contents)


def exrs(channels, name="clip.{:04d}.exr", sky=1e10):
    """Return a function that writes an EXR image per frame; `channels` maps a depth map to channels."""
    return images(name, [exr(channels(one)) for one in scene.filled(sky).astype(F32)])
