"""Values of the wrong type are refused at once, in one sentence."""

import subprocess
import sys
import tomllib
from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image

import ex4d_core as ex4d
from ex4d_core.config.run_config import write_config
from ex4d_core.errors import ComponentNotFound, InvalidConfig, InvalidInput, OutputFailed
from ex4d_core.pipeline.stages import WrongComponent

LENS = ex4d.Intrinsics.from_fov(width=16, height=16)


def test_a_misspelled_component_is_refused_when_the_session_is_created():
    with pytest.raises(ComponentNotFound, match=r"unknown depth estimator 'fil'; did you mean 'file'\?"):
        ex4d.Session(depth="fil")


def test_a_file_in_place_of_an_estimator_is_refused_with_what_takes_it():
    with pytest.raises(ComponentNotFound, match=r"'depth.npz' is a file, .* --depth-file depth.npz, or in Python"):
        ex4d.Session(depth="depth.npz")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"depth": {"name": "sketch", "nera": 1}}, "the depth 'sketch' has no option nera; did you mean 'near'"),
        ({"depth": {"name": "file", "knd": "metric"}}, "the depth 'file' has no option knd; did you mean 'kind'"),
        ({"depth": {"name": "sketch", "near": "close"}}, "depth.near: must be a number, not 'close'"),
        ({"mesh": {"thin_widt": 1}}, "the mesh 'watertight' has no option thin_widt; did you mean 'thin_width'"),
        ({"mesh": {"thin_width": -1}}, "mesh.thin_width must be >= 0"),
        ({"trajectory": {"yow": 3}}, "unknown option trajectory.yow; did you mean 'yaw'"),
    ],
)
def test_options_of_components_are_checked_when_the_session_is_created(settings, message):
    with pytest.raises(InvalidConfig, match=message):
        ex4d.Session(**settings)


def test_a_required_option_may_be_missing_if_depth_is_passed_to_the_run():
    session = ex4d.Session(depth="file")
    assert session.open_clip(FRAMES, depth=np.full((2, 16, 16), 2.0)).scene.depth is not None


def test_a_session_of_named_components_is_created_without_torch():
    code = (
        "import sys, ex4d_core as ex4d; ex4d.Session(depth={'name': 'sketch', 'near': 1}, mesh={'thin_width': 1}); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("given", [3, None, True, ["zbuffer"]])
def test_a_role_of_the_wrong_type_is_refused_with_what_it_takes(given):
    with pytest.raises(InvalidConfig, match="a renderer is a name, a table of options, or an object with the method"):
        ex4d.Session(renderer=given)


def test_depth_in_place_of_an_estimator_is_refused_with_what_takes_it():
    with pytest.raises(InvalidConfig, match=r"pass depth itself to run\(\), and a file as"):
        ex4d.Session(depth=np.ones((2, 16, 16)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: ex4d.Session("clip.mp4"),
        lambda: ex4d.Session(trajectory="orbit"),
        lambda: ex4d.Session(ex4d.RunConfig(), depth="file"),
        lambda: ex4d.Session(depth=3),
        lambda: ex4d.Session(seed="many"),
        lambda: ex4d.Session(reporter=3),
        lambda: ex4d.Session(registry="all"),
        lambda: ex4d.Session(progress="yes"),
        lambda: ex4d.sweep(FRAMES, {3: [1]}, folder="sweep", depth=np.ones((2, 16, 16))),
        lambda: ex4d.generate_camera_trajectory("left"),
        lambda: ex4d.generate_camera_trajectory(num_frames=2.5),
    ],
)
def test_settings_of_the_wrong_type_are_refused(make):
    with pytest.raises(InvalidConfig):
        make()


@pytest.mark.parametrize("clip", [None, 3, b"clip.mp4", object()])
def test_a_clip_of_the_wrong_type_is_refused(clip):
    with pytest.raises(InvalidInput, match="clip"):
        ex4d.Session().open_clip(clip)
    with pytest.raises(InvalidInput, match="clip"):
        ex4d.read_video(clip)


def test_a_camera_of_the_wrong_type_is_refused(small_clip):
    with pytest.raises(InvalidConfig, match="cam must be"):
        ex4d.run(small_clip.video, cam=object(), depth={"name": "file", "path": str(small_clip.depth)})


def test_only_videos_are_written_and_only_to_paths(tmp_path):
    with pytest.raises(InvalidInput, match=r"write_video takes a Video, not str; frames, as in Guidance.color, are "):
        ex4d.write_video("clip.mp4", tmp_path / "out.mp4")
    with pytest.raises(InvalidInput, match="output file must be a path, not 3"):
        ex4d.write_video(ex4d.Video(frames=torch.zeros(1, 16, 16, 3, dtype=torch.uint8), fps=24), 3)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ex4d.Scene(video=np.zeros((1, 16, 16, 3)), depth=None),
        lambda: ex4d.DepthVideo(
            depth=torch.ones(1, 16, 16), kind="metric", intrinsics=LENS, cameras=torch.eye(4)[None]
        ),
        lambda: ex4d.Intrinsics.from_fov("wide", width=16, height=16),
        lambda: ex4d.Intrinsics.from_fov(50, width="16", height=16),
        lambda: ex4d.Intrinsics.from_focal(None, width=16, height=16),
        lambda: ex4d.CameraPath.from_opengl([["a"]], LENS),
        lambda: ex4d.write_depth(np.ones((1, 16, 16)), "depth.npz"),
        lambda: ex4d.write_mesh(np.ones((16, 3)), "mesh.ply"),
        lambda: ex4d.write_mask([True], "mask.mp4", fps=24),
        lambda: ex4d.write_mask(np.ones((1, 16, 16)), "mask.mp4", fps=24),
        lambda: ex4d.write_mask(np.ones((1, 16, 16), bool), "mask.mp4", fps="many"),
        lambda: ex4d.read_mask(3),
        lambda: ex4d.read_mesh(3),
        lambda: ex4d.write_camera_path(ex4d.CameraPath(world_to_camera=torch.eye(4)[None], intrinsics=LENS), 3),
        lambda: ex4d.simulate_masks(FRAMES),
        lambda: ex4d.simulate_masks(ex4d.Video(frames=FRAMES, fps=24), options={"kind": "tracking"}),
        lambda: ex4d.Video(frames=FRAMES, fps=1e12),
        lambda: ex4d.Ex4dModel("ex4d-base"),
        lambda: ex4d.Ex4dModel.from_pretrained(3),
        lambda: ex4d.write_camera_path(np.eye(4)[None], "path.json"),
        lambda: ex4d.read_camera_path(3),
        lambda: ex4d.write_video(ex4d.Video(frames=FRAMES, fps=24), "out.mp4", crf="good"),
        lambda: ex4d.Video(frames="clip.mp4", fps=24),
        lambda: ex4d.Video(frames=torch.zeros(1, 16, 16, 3, dtype=torch.uint8), fps="many"),
        lambda: ex4d.CameraPath(world_to_camera=torch.eye(4)[None], intrinsics=None),
        lambda: ex4d.CameraPath(world_to_camera=torch.eye(4)[None], intrinsics=LENS, frames=["a"]),
        lambda: ex4d.CameraPath(world_to_camera=torch.eye(4)[None], intrinsics=LENS, frames=3),
        lambda: ex4d.DepthVideo(depth=torch.ones(1, 16, 16), kind="metres", intrinsics=LENS),
        lambda: ex4d.DepthVideo(depth=torch.ones(1, 16, 16), kind="metric", intrinsics=50),
    ],
)
def test_values_of_the_wrong_type_are_refused(make):
    with pytest.raises(InvalidInput):
        make()


FRAMES = np.zeros((2, 16, 16, 3), np.uint8)

WRONG_FRAMES = {
    "gray": (FRAMES[..., 0], r"\[2, 16, 16\]; make gray frames colored, as in np.repeat"),
    "alpha": (np.zeros((2, 16, 16, 4), np.uint8), r"leave out alpha, as in frames\[\.\.\., :3\]"),
    "16 bits": (FRAMES.astype(np.uint16), "not uint16; use frames / 65535 for 16 bits"),
    "floats to 255": (FRAMES + 255.0, "must lie between 0 and 1; pass uint8 for 0 to 255"),
    "NaN": (FRAMES * np.nan, "must lie between 0 and 1"),
    "switches": (FRAMES > 0, "must be uint8, or floats from 0 to 1, not bool$"),
    "objects": (FRAMES.astype(object), "not object$"),
    "names": (["a.png", "b.png"], "not a list of str$"),
    "holes": ([FRAMES[0], None], "not a list of NoneType and ndarray$"),
    "two sizes": ([FRAMES[0], FRAMES[0, :8]], r"one shape, not \[\[8, 16, 3\], \[16, 16, 3\]\]"),
    "a generator": ((frame for frame in FRAMES), r"make a list of it, as in list\(frames\)"),
    "none": (FRAMES[:0], r"no frames or pixels: its shape is \[0, 16, 16, 3\]"),
    "no values": (torch.zeros(2, 16, 16, 3, device="meta"), "must be a dense tensor with values"),
    "images of 16 bits": ([Image.fromarray(np.zeros((16, 16), np.uint16))], r"not \[1, 16, 16\]; make gray"),
}


@pytest.mark.parametrize("name", WRONG_FRAMES)
def test_frames_that_are_not_a_clip_are_refused_with_the_call_that_makes_them_one(name):
    frames, says = WRONG_FRAMES[name]
    with pytest.raises(InvalidInput, match=says):
        ex4d.Session().open_clip(frames)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "HSV"])
def test_images_of_every_mode_of_8_bits_are_frames(mode):
    images = [Image.fromarray(frame).convert(mode) for frame in FRAMES]
    assert ex4d.Session().open_clip(images).video.frames.shape == (2, 16, 16, 3)
    assert ex4d.Session().open_clip(images[0]).video.frames.shape == (1, 16, 16, 3)


def test_arrays_of_any_strides_and_tensors_of_any_precision_are_frames():
    clips = [
        FRAMES[:, ::-1],
        torch.zeros(2, 3, 16, 16).bfloat16().permute(0, 2, 3, 1),
        torch.zeros(2, 16, 16, 3).half(),
    ]
    assert all(ex4d.Session().open_clip(clip).video.num_frames == 2 for clip in clips)


WRONG_DEPTH = {
    "another length": (np.full((3, 16, 16), 2.0), "has 3 depth maps but the video has 2 frames"),
    "another size": (np.full((2, 8, 16), 2.0), "is 16x8 but the video is 16x16"),
    "NaN": (np.full((2, 16, 16), np.nan), "no valid depth"),
    "switches": (np.ones((2, 16, 16), bool), "bool values; depth must be numbers"),
    "objects": (np.ones((2, 16, 16), object), "must be an array of numbers, not of object"),
    "names": (["a", "b"], "must be a DepthVideo or an array"),
    "no values": (torch.zeros(2, 16, 16, device="meta"), "must be a dense tensor with values"),
}


@pytest.mark.parametrize("name", WRONG_DEPTH)
def test_depth_that_does_not_fit_the_clip_is_refused(name):
    depth, says = WRONG_DEPTH[name]
    with pytest.raises(InvalidInput, match=says):
        _ = ex4d.Session().open_clip(FRAMES, depth=depth).scene


DEPTH = np.full((2, 16, 16), 2.0, np.float32)


@pytest.mark.parametrize(
    ("cam", "says"),
    [
        (float("nan"), "must be finite, not nan"),
        (["20", "30"], "not a list of str"),
        (np.eye(4), r"poses must be numbers \[T, 4, 4\]"),
        (np.tile(np.eye(4, dtype=complex), (2, 1, 1)), r"not complex128 \[2, 4, 4\]"),
        (np.full((2, 4, 4), np.nan), "not a rotation and translation"),
        (np.tile(np.eye(4), (3, 1, 1)), "3 poses but the clip has 2 frames"),
    ],
)
def test_cameras_that_do_not_fit_the_clip_are_refused(cam, says):
    with pytest.raises(ex4d.Ex4dError, match=says):
        _ = ex4d.Session().open_clip(FRAMES, depth=DEPTH, depth_kind="metric").along(cam).path


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("metrc", "depth_kind must be .*, not 'metrc'; did you mean 'metric'"),
        (3, "depth_kind must be .*, not 3"),
        (np.ones(2), "depth_kind must be"),
        (ex4d.DepthKind.AFFINE_INVERSE, "depth_kind must be"),
    ],
)
def test_an_unknown_kind_of_depth_is_refused(kind, says):
    with pytest.raises(InvalidConfig, match=says):
        ex4d.Session().open_clip(FRAMES, depth=DEPTH, depth_kind=kind)


def test_a_kind_without_an_array_is_refused_and_an_enum_is_a_kind():
    with pytest.raises(InvalidConfig, match="no depth is passed"):
        ex4d.Session().open_clip(FRAMES, depth_kind="metric")
    clip_run = ex4d.Session().open_clip(FRAMES, depth=DEPTH, depth_kind=ex4d.DepthKind.RELATIVE)
    assert clip_run.estimated_depth.kind is ex4d.DepthKind.RELATIVE


def test_a_frame_that_the_clip_does_not_have_is_refused():
    with pytest.raises(InvalidInput, match="frame must be a whole number below 2, not 99"):
        ex4d.Session().open_clip(FRAMES, depth=DEPTH, depth_kind="metric").mesh(99)


def test_numbers_of_numpy_paths_and_devices_are_settings(small_clip, tmp_path):
    session = ex4d.Session(
        seed=np.int64(3),
        device=torch.device("cpu"),
        mesh={"min_angle": np.float32(2.5)},
        depth={"name": "file", "path": small_clip.depth},
        renderer="zbuffer",
        backbone="telea",
    )
    assert session.config.seed == 3
    assert ex4d.Session(video={"size": (np.int64(96), 64)}).config.video.size == "96x64"
    path_run = session.open_clip(small_clip.video, folder=tmp_path).along(np.int64(20))
    assert path_run.clip_run.mesh(np.int64(1)).vertices.shape[1] == 3
    assert path_run.cam == "20"
    assert tomllib.loads(write_config(session.config))["mesh"] == {"min_angle": 2.5}


@pytest.mark.parametrize(("role", "method"), [("depth", "estimate"), ("renderer", "render"), ("backbone", "generate")])
def test_a_component_that_returns_another_type_is_named(role, method):
    component = type("Mine", (), {method: lambda self, *args, **named: np.ones((2, 16, 16))})()
    settings = {"renderer": "zbuffer", "backbone": "telea", "progress": False, role: component}
    depth = None if role == "depth" else np.full((2, 16, 16), 2.0, np.float32)
    with pytest.raises(WrongComponent, match="Mine returned a value of type ndarray, not a "):
        ex4d.Session(**settings).run(FRAMES, depth=depth)


def test_a_backbone_of_a_fixed_rate_is_named():
    class Fixed:
        def generate(self, guidance, scene, **rest):
            return ex4d.Video(frames=guidance.color, fps=8)

    session = ex4d.Session(renderer="zbuffer", backbone=Fixed(), device="cpu")
    with pytest.raises(WrongComponent, match="Fixed returned 8 frames per second for guidance of 30"):
        session.run(FRAMES, depth=DEPTH, depth_kind="metric", cam=30)


@pytest.mark.parametrize("fps", [29.97, np.float32(29.97), 30000 / 1001])
def test_a_rounded_rate_is_the_exact_one_in_the_file(tmp_path, fps):
    ex4d.write_video(ex4d.Video(frames=FRAMES, fps=fps), tmp_path / "out.mp4")
    ex4d.write_mask(FRAMES[..., 0] > 0, tmp_path / "mask.mkv", fps=fps)
    assert (
        ex4d.read_video(tmp_path / "out.mp4").fps == ex4d.read_mask(tmp_path / "mask.mkv")[1] == Fraction(30000, 1001)
    )


def test_camera_files_are_copied_by_name(tmp_path):
    path = ex4d.CameraPath(world_to_camera=torch.eye(4).repeat(2, 1, 1), intrinsics=LENS)
    ex4d.write_camera_path(path, f"{tmp_path}/path.npz")
    ex4d.write_camera_path(ex4d.read_camera_path(f"{tmp_path}/path.npz"), f"{tmp_path}/path.json")
    again = ex4d.read_camera_path(f"{tmp_path}/path.json")
    np.testing.assert_allclose(again.world_to_camera, path.world_to_camera)
    with pytest.raises(InvalidConfig, match="pass the name of the file"):
        ex4d.Session().open_clip(FRAMES, depth=DEPTH, depth_kind="metric").along(again)


def test_a_run_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputFailed, match="out is a file"):
        ex4d.Session().open_clip(FRAMES, folder=tmp_path / "out")
