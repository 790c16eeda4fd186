"""Told to behave as EX-4D, the reconstruction is EX-4D's: cameras, meshes and pictures."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from ex4d_core.builtin.render_options import RasterOptions
from ex4d_core.builtin.render_zbuffer import ZBufferRenderer
from ex4d_core.pipeline.session import Session

CPU = torch.device("cpu")
FOLDER = Path(os.environ.get("EX4D_REFERENCE_DATA", "absent")) / "golden" / "recon"
SCENES = sorted(FOLDER.glob("*.npz"))

needs_data = pytest.mark.skipif(not SCENES, reason="EX4D_REFERENCE_DATA names no folder with golden/recon/*.npz")


def _load_parity():
    path = Path(__file__).parents[2] / "benchmarks" / "parity.py"
    spec = importlib.util.spec_from_file_location("parity", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


parity = _load_parity()


def failures(rows):
    return [row for row in rows if not row.passed]


@needs_data
@pytest.mark.parametrize("path", SCENES, ids=lambda path: path.stem)
def test_cameras_and_meshes_are_those_of_the_reference(path):
    golden = parity.Golden.load(path)
    rows = [parity.camera_row(golden, Session(compat="ex4d")), *parity.mesh_rows(golden, CPU)]
    assert [row.check for row in rows] == ["cameras, error", "vertices, relative error", "faces", "alpha"]
    assert failures(rows) == []


@needs_data
@pytest.mark.parametrize("path", SCENES, ids=lambda path: path.stem)
def test_pictures_are_those_of_the_reference_away_from_edges(path):
    rows = list(parity.picture_rows(parity.Golden.load(path), ZBufferRenderer(RasterOptions(), device=CPU), CPU))
    assert len(rows) == 4
    assert failures(rows) == []


@needs_data
def test_a_scene_that_misses_a_limit_makes_the_command_fail(tmp_path, capsys):
    with np.load(SCENES[0]) as file:
        arrays = dict(file)
    arrays["mask"] = 255 - arrays["mask"]
    arrays["vertex_alpha_0"] = 255 - arrays["vertex_alpha_0"]
    np.savez(tmp_path / "wrong.npz", **arrays)
    assert parity.main(["recon", str(tmp_path)]) == 1
    assert capsys.readouterr().out.count("FAIL") == 4


def test_a_folder_without_scenes_is_named(tmp_path, capsys):
    assert parity.main(["recon", str(tmp_path)]) == 2
    assert "there is no scene (.npz) in" in capsys.readouterr().err


def test_a_file_that_is_no_scene_is_named(tmp_path, capsys):
    np.savez(tmp_path / "other.npz", frames=np.zeros(3))
    assert parity.main(["recon", str(tmp_path)]) == 2
    assert "is no scene of the reconstruction" in " ".join(capsys.readouterr().err.split())


def test_an_edge_is_where_a_mask_changes_or_depth_jumps():
    mask = torch.zeros(5, 9, dtype=torch.bool)
    mask[:, 6:] = True
    assert parity.changes(mask)[2].tolist() == [False] * 5 + [True] * 2 + [False] * 2
    depth = torch.tensor([1.0, 1.04, 1.08, 2.0, 2.0, torch.inf, torch.inf]).repeat(3, 1)
    assert parity.jumps(depth)[1].tolist() == [False, False, True, True, True, True, False]
    assert parity.grown(mask, 2)[2].tolist() == [False] * 4 + [True] * 5
