"""Lens and poses beside depth maps that do not fit them are never dropped without a warning."""

import os
import re

import numpy as np
import pytest

from tests.depth_io.reader import opened
from tests.depth_io.scene import COUNT
from tests.depth_io.test_tools import C2W, LENS, cut3r, da3_streaming, monst3r, scannet, tum, vipe, vista4d


def shortened(path):
    """Remove the last line of a text."""
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


def one_less(path):
    """Remove the last row of each array of an archive."""
    arrays = dict(np.load(path))
    np.savez(path, **{name: array[:-1] for name, array in arrays.items()})


CASES = {
    "CUT3R": (
        cut3r,
        lambda folder: os.remove(folder / "camera/000001.npz"),
        "lens and poses in .*000001.npz is missing",
    ),
    "ViPE": (
        vipe,
        lambda folder: one_less(folder / "pose/clip.npz"),
        rf"poses in .*clip.npz: it lacks 1 of {COUNT} frames, such as frame {COUNT - 1}; "
        r"--source-cameras \S*pose/clip.npz:fill=interpolate interpolates them",
    ),
    "ViPE, lens": (
        vipe,
        lambda folder: one_less(folder / "intrinsics/clip.npz"),
        rf"lens in .*clip.npz: it lacks 1 of {COUNT} frames",
    ),
    "Vista4D": (
        vista4d,
        lambda folder: one_less(folder / "cameras.npz"),
        f"cameras.npz: it has {COUNT - 1} poses for {COUNT} maps",
    ),
    "MonST3R": (
        monst3r,
        lambda folder: shortened(folder / "pred_traj.txt"),
        f"pred_traj.txt: it has {COUNT - 1} poses for {COUNT} maps",
    ),
    "Depth Anything 3": (
        da3_streaming,
        lambda folder: shortened(folder / "camera_poses.txt"),
        f"camera_poses.txt: it has {COUNT - 1} poses for {COUNT} maps",
    ),
    "ScanNet": (scannet, lambda folder: os.remove(folder / "pose/1.txt"), "pose: 1.txt is missing"),
    "ScanNet, lost": (
        scannet,
        lambda folder: np.savetxt(folder / "pose/1.txt", np.full((4, 4), -np.inf)),
        "pose: some are lost",
    ),
    "TUM": (
        tum,
        lambda folder: np.savetxt(folder / "groundtruth.txt", [[9, *C2W[0, :3, 3], 0, 0, 0, 1]]),
        "groundtruth.txt: their times are not those of the maps",
    ),
    "TUM, columns": (
        tum,
        lambda folder: np.savetxt(folder / "groundtruth.txt", LENS),
        "groundtruth.txt: its lines do not have 8 numbers",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_cameras_that_do_not_fit_are_named(tmp_path, name):
    write, spoil, says = CASES[name]
    path = write(tmp_path)
    spoil(tmp_path)
    depth, said = opened(path)
    assert depth.cameras is None or "lens" in name
    assert re.search(f"ignores .*{says}", said)
