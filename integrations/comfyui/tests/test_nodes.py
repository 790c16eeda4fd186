"""The nodes as plain Python, without ComfyUI."""

import ast
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import attrs
import numpy as np
import pytest
import torch

import ex4d_core
from ex4d_core.errors import Ex4dError

COLORS = {
    "grey": (0.5, 0.5, 0.5),
    "black": (0, 0, 0),
    "magenta": (1, 0, 1),
    "green": (0x66 / 255, 1, 0),
    "pink": (1, 65 / 255, 174 / 255),
}
FLAT = {"images": torch.full((2, 16, 24, 3), 0.25), "holes": torch.zeros(2, 16, 24)}


@pytest.fixture(scope="session")
def path(run, images, room):
    """A path of 40 degrees to the right."""
    return run("EX4DCameraPath", images=images, depth=room.depth, cam="orbit:yaw=40")[0]


@pytest.fixture(scope="session")
def guidance(images, room, path):
    """The guidance of the same path without the pack."""
    clip = ex4d_core.Session(progress=False).open_clip(images.numpy(), depth=room.depth)
    return clip.along(path).guidance


def test_the_pack_imports_nothing_of_comfyui(pack):
    """Importing modules of ComfyUI parses the command line, so `host.py` only looks them up."""
    files = (Path(pack.__file__).parent / "ex4d_comfyui").glob("*.py")
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    names = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    own = {"attrs", "ex4d_core", "numpy", "torch"}
    assert {name.partition(".")[0] for name in names} - sys.stdlib_module_names == own


@pytest.mark.parametrize("color", COLORS)
def test_colors_and_masks_equal_the_reference(run, images, room, path, guidance, color):
    view, holes = run("EX4DWarp", images=images, depth=room.depth, path=path, hole_color=color)
    reference = torch.where(guidance.mask[..., None], guidance.color / 255, torch.tensor(COLORS[color]))
    assert torch.equal(holes, 1 - guidance.mask.float())
    assert torch.equal(view, reference)
    assert view.dtype == holes.dtype == torch.float32
    assert 0.02 < holes.mean() < 0.9


def test_holes_grow_in_mask_and_colors_alike(run, images, room, path):
    before, holes = run("EX4DWarp", images=images, depth=room.depth, path=path, hole_color="pink")
    view, grown = run("EX4DWarp", images=images, depth=room.depth, path=path, hole_color="pink", grow_holes=2)
    rows, columns = np.mgrid[-2:3, -2:3].reshape(2, -1)
    padded = np.pad(holes.numpy(), ((0, 0), (2, 2), (2, 2)))
    shifted = [padded[:, 2 + i : 34 + i, 2 + j : 50 + j] for i, j in zip(rows, columns, strict=True)]
    assert np.array_equal(grown.numpy(), np.max(shifted, axis=0))
    assert torch.equal(view, before.where(grown[..., None] == 0, torch.tensor(COLORS["pink"])))


def test_holes_become_the_grey_that_vace_expects(run, images, room, path):
    """ComfyUI's WanVaceToVideo splits the video into (x - 0.5) * (1 - mask) and (x - 0.5) * mask: the second is 0."""
    view, holes = run("EX4DWarp", images=images, depth=room.depth, path=path)
    assert ((view - 0.5) * holes[..., None]).abs().max() == 0


def test_a_half_precision_image_with_alpha_is_accepted(run, images, room, path):
    rgba = torch.cat([images, torch.ones_like(images[..., :1])], dim=3).half()
    view, _ = run("EX4DWarp", images=rgba, depth=room.depth, path=path)
    assert view.shape == images.shape


def test_fill_changes_holes_only(run, images, room, path):
    view, holes = run("EX4DWarp", images=images, depth=room.depth, path=path, hole_color="magenta")
    (filled,) = run("EX4DFill", images=view, holes=holes, source=images, depth=room.depth, path=path)
    (alone,) = run("EX4DFill", images=view, holes=holes)
    for result in (filled, alone):
        assert torch.equal(result[holes == 0], view[holes == 0])
        assert (result - view)[holes == 1].abs().mean() > 0.05


def test_generate_equals_a_run_of_the_session(run, images, room, path):
    view, holes = run("EX4DWarp", images=images, depth=room.depth, path=path, hole_color="green")
    scene = {"source": images, "depth": room.depth, "path": path}
    (result,) = run("EX4DGenerate", images=view, holes=holes, backbone="inpaint", **scene)
    session = ex4d_core.Session(progress=False, backbone="inpaint")
    expected = session.run(images.numpy(), cam=path, depth=room.depth).video
    assert torch.equal(result, expected.frames / 255)


def test_another_prompt_keeps_the_backbone_loaded(pack, run):
    sessions = sys.modules[f"{pack.__name__}.ex4d_comfyui.sessions"]
    for prompt in ("a room", "a garden"):
        run("EX4DGenerate", **FLAT, backbone="telea", prompt=prompt, keep_loaded=True)
    same = [s for s in sessions._kept.values() if s.config.backbone.name == "telea"]
    assert len(same) == 1
    run("EX4DGenerate", **FLAT, backbone="telea", keep_loaded=False)
    assert not [s for s in sessions._kept.values() if s.config.backbone.name == "telea"]


class TestDepth:
    def test_a_sketch_is_white_where_near(self, run, images):
        depth, preview = run("EX4DDepth", images=images, estimator="sketch", fov=60.0)
        near, far = (depth.depth <= depth.depth.quantile(0.2)), (depth.depth >= depth.depth.quantile(0.8))
        assert preview[near].mean() > preview[far].mean() + 0.3
        assert preview.shape == images.shape
        assert depth.intrinsics[0].fx == pytest.approx(48 / (2 * np.tan(np.radians(30))))

    def test_moge_geometry_keeps_its_depth_and_normalized_intrinsics(self, run, images, room):
        lens, depth = room.depth.intrinsics[0], room.depth.depth.clone()
        depth[:, :4] = torch.inf  # MoGe Inference: masked, such as the sky
        matrix = torch.tensor([[lens.fx / 48, 0, 0.5], [0, lens.fy / 32, 0.5], [0, 0, 1]])
        geometry = {"depth": depth, "intrinsics": matrix.expand(5, 3, 3), "normal": torch.zeros(5, 32, 48, 3)}
        result, _ = run("EX4DDepth", images=images, moge_geometry=geometry)
        assert torch.equal(result.depth[:, 4:], depth[:, 4:])
        assert result.kind.value == "metric"
        assert attrs.astuple(result.intrinsics[0])[:4] == pytest.approx(attrs.astuple(lens)[:4], rel=1e-5)

    @pytest.mark.parametrize(("kind", "nearer"), [("inverse", 1.0), ("affine", 0.0)])
    def test_depth_images_of_another_size_are_fitted(self, run, images, kind, nearer):
        maps = torch.full((5, 16, 24, 3), 0.5)
        maps[:, 4:12, 6:12] = nearer
        maps[:, :, 18:] = 1 - nearer
        depth, _ = run("EX4DDepth", images=images, depth_images=maps, depth_images_are=kind)
        assert depth.depth.shape == (5, 32, 48)
        assert depth.depth[:, 8:24, 12:24].max() < depth.depth[:, :8, :36].min()


class TestCameraPath:
    def test_text_gives_the_path_of_the_command_line(self, path, images, room):
        clip = ex4d_core.Session(progress=False).open_clip(images.numpy(), depth=room.depth)
        assert torch.equal(path.world_to_camera, clip.along("orbit:yaw=40").path.world_to_camera)

    def test_keyframes_are_those_of_the_language(self, run, images, room):
        keys = [{"at": 0, "yaw": 0}, {"at": 0.5, "yaw": 30, "zoom_in": 0.2}, {"at": 1, "yaw": 0}]
        texts = {"keyframes": json.dumps(keys)}, {"cam": "keyframes:at=[0,0.5,1],yaw=[0,30,0],zoom_in=[0,0.2,0]"}
        one, other = (run("EX4DCameraPath", images=images, depth=room.depth, **text)[0] for text in texts)
        assert torch.equal(one.world_to_camera, other.world_to_camera)

    def test_one_camera_of_comfyui_is_the_view_of_all_frames(self, run, images, room):
        """three.js: y is up and a camera looks along -z; the vertical field of view is divided by zoom."""
        camera = {
            "position": {"x": 0.5, "y": 0.2, "z": 0},
            "target": {"x": 0.5, "y": 0.2, "z": -1},
            "fov": 40,
            "zoom": 1,
        }
        path, preview = run("EX4DCameraPath", images=images, depth=room.depth, camera_info=camera)
        expected = torch.eye(4).repeat(5, 1, 1)
        expected[:, :3, 3] = torch.tensor([-0.5, 0.2, 0])
        torch.testing.assert_close(path.world_to_camera, expected, atol=1e-6, rtol=0)
        assert path.intrinsics[0].fy == pytest.approx(16 / np.tan(np.radians(20)))
        assert preview.shape == (5, 32, 48, 3)

    def test_an_orbit_of_comfyui_is_an_orbit_around_the_subject(self, run, images, room):
        """Three cameras at distance 4 from the origin; the subject is the target of the first."""
        angles = np.radians([0, 20, 40])
        orbit = [
            {"position": {"x": 4 * np.sin(a), "y": 0.0, "z": 4 * np.cos(a)}, "target": {"x": 0, "y": 0, "z": 0}}
            for a in angles
        ]
        given = {"images": images, "depth": room.depth, "look_at": "2.0"}
        one, _ = run("EX4DCameraPath", **given, camera_info=orbit, camera_info_world="first camera")
        other, _ = run("EX4DCameraPath", **given, cam="orbit:yaw=40")
        torch.testing.assert_close(one.world_to_camera[[0, -1]], other.world_to_camera[[0, -1]], atol=1e-5, rtol=0)
        assert one.intrinsics[0] == room.depth.intrinsics[0]

    def test_a_longer_path_shows_frames_longer(self, run, images, room):
        path, preview = run("EX4DCameraPath", images=images, depth=room.depth, cam="freeze:frame=2", frames=9)
        view, holes = run("EX4DWarp", images=images, depth=room.depth, path=path)
        assert len(preview) == len(view) == len(holes) == 9
        assert path.frames == (2,) * 9

    def test_a_photo_gets_a_path_of_49_frames(self, run, images, room):
        depth = attrs.evolve(room.depth, depth=room.depth.depth[:1], valid=None, cameras=None)
        path, preview = run("EX4DCameraPath", images=images[:1], depth=depth)
        assert path.frames == (0,) * 49
        assert len(preview) == 25


class TestPathFiles:
    @pytest.fixture(autouse=True)
    def _folder(self, monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)

    @pytest.mark.parametrize("format", ["ex4d", "json", "csv", "nerfstudio", "colmap"])
    def test_saved_paths_are_loaded_again(self, run, path, room, format):
        saved = [run("EX4DSavePath", path=path, format=format)["result"][0] for _ in range(2)]
        assert saved[0] != saved[1]
        (loaded,) = run("EX4DLoadPath", file=saved[0], depth=room.depth)
        torch.testing.assert_close(loaded.world_to_camera, path.world_to_camera, atol=1e-5, rtol=0)
        assert loaded.intrinsics[0].fx == pytest.approx(path.intrinsics[0].fx)

    def test_comfyui_reads_a_changed_file_again(self, pack, run, path):
        (file,) = run("EX4DSavePath", path=path)["result"]
        node = pack.NODE_CLASS_MAPPINGS["EX4DLoadPath"]
        before = node.IS_CHANGED(file=file)
        ex4d_core.write_camera_path(path.taken_at([0, 1]), Path(file))
        assert node.IS_CHANGED(file=file) != before

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ({"axes": "opencv", "camera_to_world": [np.eye(4).tolist()] * 2, "times": [0, 1]}, "has keyframes"),
            ({"position": {"x": 0, "y": 0, "z": 0}, "target": {"x": 0, "y": 0, "z": -1}}, "or a field of view"),
            ({"axes": "opencv", "camera_to_world": [np.eye(4).tolist()] * 2}, "connect the depth"),
        ],
    )
    def test_files_that_need_the_clip_are_refused(self, run, content, message, tmp_path):
        (tmp_path / "camera.json").write_text(json.dumps(content))
        with pytest.raises(Ex4dError, match=message):
            run("EX4DLoadPath", file="camera.json")

    def test_all_formats_are_written(self, pack):
        from ex4d_core.cameras.files import FORMATS

        (formats, _) = pack.NODE_CLASS_MAPPINGS["EX4DSavePath"].INPUT_TYPES()["required"]["format"]
        assert sorted(formats) == sorted(name for name, kind in FORMATS.items() if kind.write)


GEOMETRY = {"depth": torch.ones(2, 16, 24)}
REFUSED = {
    "layout": ("EX4DDepth", {"images": torch.zeros(3, 16, 24)}, r"images must be an IMAGE of shape \[B, H, W, 3\]"),
    "panorama": ("EX4DDepth", {"images": FLAT["images"], "moge_geometry": GEOMETRY}, "as that of panoramas"),
    "both depths": (
        "EX4DDepth",
        {"images": FLAT["images"], "moge_geometry": GEOMETRY, "depth_images": FLAT["images"]},
        "connect one of them",
    ),
    "false colors": ("EX4DDepth", {"images": FLAT["images"], "depth_images": torch.rand(2, 16, 24, 3)}, "are colored"),
    "mask size": ("EX4DFill", {**FLAT, "holes": torch.zeros(2, 8, 24)}, "2 frames of 24x8 but images has 2 of 24x16"),
    "mask length": ("EX4DFill", {**FLAT, "holes": torch.zeros(3, 16, 24)}, "3 frames of 24x16 but images has 2"),
    "half a scene": ("EX4DFill", {**FLAT, "source": FLAT["images"]}, "depth is not connected; connect all"),
    "setting": ("EX4DFill", {**FLAT, "settings": "steps=3"}, "SECTION.OPTION=VALUE"),
    "option": ("EX4DFill", {**FLAT, "settings": "backbone.toleranc=3"}, "did you mean 'tolerance'"),
    "file": ("EX4DLoadPath", {"file": "no.npz"}, "no.npz does not exist"),
}


@pytest.mark.parametrize(("node", "given", "message"), REFUSED.values(), ids=REFUSED)
def test_wrong_inputs_end_in_one_sentence(run, node, given, message):
    with pytest.raises(Ex4dError, match=message):
        run(node, **given)


def test_a_path_and_a_depth_of_another_clip_are_refused(run, images, room, path):
    with pytest.raises(Ex4dError, match=r"the depth has the shape \[5, 32, 48\] but the frames have \[4, 32, 48\]"):
        run("EX4DWarp", images=images[:4], depth=room.depth, path=path)
    with pytest.raises(Ex4dError, match="the camera path has 2 poses but the clip has 5 frames"):
        run("EX4DWarp", images=images, depth=room.depth, path=path.taken_at([0, 1]))
    with pytest.raises(Ex4dError, match="Guidance has 2 frames but 5 cameras"):
        run("EX4DFill", **FLAT, source=images, depth=room.depth, path=path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"keyframes": "[{"}, "keyframes is not JSON"),
        ({"keyframes": '[{"az": 1}, {"az": 2}]'}, "keyframe 0 has 'az'; known are at, yaw"),
        ({"keyframes": '[{"yaw": "1"}, {"yaw": 2}]'}, "yaw of keyframe 0 must be a number"),
        ({"keyframes": '[{"at": 0, "yaw": 1}, {"yaw": 2}]'}, "either all keyframes have `at`, or none"),
        ({"keyframes": '[{"yaw": 1}]'}, "a list of at least two"),
        ({"keyframes": "[]", "camera_info": {}}, "are both given"),
        ({"camera_info": {}}, "must be a LOAD3D_CAMERA"),
        (
            {"camera_info": {"position": {"x": 0, "y": 0, "z": 0}}, "camera_info_world": "first camera"},
            "is at its target",
        ),
        ({"cam": "orbit:yaw=999"}, "yaw"),
        ({"look_at": "9999,1"}, "9999"),
    ],
)
def test_wrong_paths_end_in_one_sentence(run, images, room, given, message):
    with pytest.raises(Ex4dError, match=message):
        run("EX4DCameraPath", images=images, depth=room.depth, **given)


def test_nothing_is_written_outside_of_the_output_folder(run, path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Ex4dError, match="leads out of the output folder"):
        run("EX4DSavePath", path=path, filename_prefix="../camera")


class Interrupted(Exception):
    """Stands for ComfyUI's InterruptProcessingException."""


@pytest.fixture
def comfyui(monkeypatch, tmp_path):
    """The modules of ComfyUI that the pack looks up, with their names and signatures."""
    state = SimpleNamespace(steps=[], stop_after=None)

    class ProgressBar:
        def __init__(self, total, node_id=None):
            self.total = total

        def update_absolute(self, value, total=None, preview=None):
            state.steps.append((value, total))

    def throw_exception_if_processing_interrupted():
        if state.stop_after is not None and len(state.steps) > state.stop_after:
            raise Interrupted

    management = SimpleNamespace(
        throw_exception_if_processing_interrupted=throw_exception_if_processing_interrupted,
        get_torch_device=lambda: torch.device("cpu"),
    )
    folders = SimpleNamespace(get_input_directory=lambda: str(tmp_path), get_output_directory=lambda: str(tmp_path))
    monkeypatch.setitem(sys.modules, "comfy.utils", SimpleNamespace(ProgressBar=ProgressBar))
    monkeypatch.setitem(sys.modules, "comfy.model_management", management)
    monkeypatch.setitem(sys.modules, "folder_paths", folders)
    return state


def test_progress_is_shown_at_the_node_and_cancel_stops_it(comfyui, run, images, room, path):
    given = {"images": images, "depth": room.depth, "path": path, "settings": "refine.enabled=false"}
    run("EX4DWarp", **given)
    assert comfyui.steps == [(done, 5) for done in range(6)]
    comfyui.steps.clear()
    comfyui.stop_after = 2
    with pytest.raises(Interrupted):
        run("EX4DWarp", **{**given, "images": images.flip(0)})
    assert len(comfyui.steps) == 3


def test_cancel_stops_an_estimator_with_the_exception_of_comfyui(comfyui, run, images):
    comfyui.stop_after = 2
    with pytest.raises(Interrupted):
        run("EX4DDepth", images=images, estimator="sketch")


def test_models_of_comfyui_leave_the_gpu(comfyui, pack, monkeypatch):
    host = sys.modules[f"{pack.__name__}.ex4d_comfyui.host"]
    calls, management = [], sys.modules["comfy.model_management"]
    for name in ("unload_all_models", "free_memory", "soft_empty_cache"):
        setattr(management, name, lambda *given, name=name: calls.append((name, *given)))
    host.free_memory()
    assert calls == []
    gpu = torch.device("cuda", 1)
    monkeypatch.setattr(management, "get_torch_device", lambda: gpu)
    host.free_memory()
    host.free_memory(0.5)
    assert calls == [("unload_all_models",), ("soft_empty_cache",), ("free_memory", 2**29, gpu), ("soft_empty_cache",)]
    assert host.device() == "cuda:1"


def test_files_are_in_the_folders_of_comfyui(comfyui, run, images, room, path, tmp_path):
    (file,) = run("EX4DSavePath", path=path, filename_prefix="cameras/a", format="json")["result"]
    assert re.fullmatch(rf"{tmp_path}/cameras/a_00001.json", file)
    again, _ = run("EX4DCameraPath", images=images, depth=room.depth, cam="cameras/a_00001.json")
    torch.testing.assert_close(again.world_to_camera, path.world_to_camera, atol=1e-6, rtol=0)
