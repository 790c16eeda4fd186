"""Depth written for other programs comes back as it was, and what they changed comes back changed."""

import json
import math
from fractions import Fraction

import attrs
import cv2
import numpy as np
import OpenEXR
import pytest
import torch

from ex4d_core.builtin.depth_file import DepthFile
from ex4d_core.builtin.depth_file_options import DepthFileOptions
from ex4d_core.depth_io.write import png_error, png_step, write_depth
from ex4d_core.errors import InvalidInput, OutputFailed
from ex4d_core.progress import silent
from ex4d_core.types import CameraPath, DepthKind, DepthVideo, Intrinsics, Video
from ex4d_core.video_io.framing import frame_to

COUNT, HEIGHT, WIDTH = 3, 24, 32
NAMES = {"npz": "depth.npz", "png": "depth_png", "exr": "depth_exr"}
FORMATS = sorted(NAMES)


def depth_of(near, far, kind="metric", **fields):
    """Depth from near to far, evenly in its logarithm, with a pixel in each frame that is unknown."""
    values = np.geomspace(near, far, COUNT * HEIGHT * WIDTH).reshape(COUNT, HEIGHT, WIDTH).astype(np.float32)
    valid = torch.ones(COUNT, HEIGHT, WIDTH, dtype=torch.bool)
    valid[:, 5, 7] = False
    lens = Intrinsics(fx=30.1, fy=31.7, cx=15.3, cy=12.9, width=WIDTH, height=HEIGHT)
    fields = {"intrinsics": lens, "valid": valid, **fields}
    return DepthVideo(depth=torch.from_numpy(values), kind=kind, **fields)


def back(path, *, clip=None, **options):
    if clip is None:
        clip = Video(frames=torch.zeros(COUNT, HEIGHT, WIDTH, 3, dtype=torch.uint8), fps=Fraction(30))
    return DepthFile(DepthFileOptions(path=str(path), **options), device=torch.device("cpu")).estimate(
        clip, progress=silent
    )


def there_and_back(depth, folder, format, **options):
    write_depth(depth, folder / NAMES[format], format=format)
    return back(folder / NAMES[format], **options)


def moving_camera():
    poses = torch.eye(4).repeat(COUNT, 1, 1)
    for frame in range(COUNT):
        angle = 0.1 * frame
        poses[frame, 0, 0] = poses[frame, 2, 2] = math.cos(angle)
        poses[frame, 0, 2] = math.sin(angle)
        poses[frame, 2, 0] = -math.sin(angle)
        poses[frame, :3, 3] = torch.tensor([0.3, -0.1, 0.2]) * frame
    return CameraPath(world_to_camera=poses, intrinsics=Intrinsics.from_fov(width=WIDTH, height=HEIGHT))


@pytest.mark.parametrize("kind", list(DepthKind))
@pytest.mark.parametrize("format", FORMATS)
def test_kind_lens_and_what_is_unknown_come_back_without_a_flag(tmp_path, format, kind):
    depth = depth_of(0.2, 0.9, kind)
    found = there_and_back(depth, tmp_path, format)
    assert found.kind is kind
    assert found.intrinsics == depth.intrinsics
    assert torch.equal(found.valid, depth.valid)


@pytest.mark.parametrize("format", ["npz", "exr"])
def test_archives_and_exr_are_exact(tmp_path, format):
    depth = depth_of(1e-3, 1e4, "affine-inverse")
    assert torch.equal(there_and_back(depth, tmp_path, format).depth, depth.depth * depth.valid)


@pytest.mark.parametrize("format", FORMATS)
def test_a_lens_for_each_frame_and_a_camera_that_moves_come_back(tmp_path, format):
    lenses = tuple(Intrinsics.from_focal(30 + n / 3, width=WIDTH, height=HEIGHT) for n in range(COUNT))
    depth = depth_of(1, 9, intrinsics=lenses, cameras=moving_camera())
    found = there_and_back(depth, tmp_path, format)
    assert found.intrinsics == lenses
    assert torch.equal(found.cameras.world_to_camera, depth.cameras.world_to_camera)


def test_the_world_of_a_moving_camera_is_the_first_frame_that_is_used(tmp_path):
    depth = depth_of(1, 9, cameras=moving_camera())
    origin = frame_to((WIDTH, HEIGHT), None).origin((1, 2), COUNT)
    clip = Video(frames=torch.zeros(2, HEIGHT, WIDTH, 3, dtype=torch.uint8), fps=Fraction(30), origin=origin)
    found = there_and_back(depth, tmp_path, "npz", clip=clip).cameras.world_to_camera
    poses = depth.cameras.world_to_camera
    assert torch.allclose(found[0], torch.eye(4), atol=1e-6)
    assert torch.allclose(found[1] @ poses[1], poses[2], atol=1e-6)


@pytest.mark.parametrize(
    ("near", "far", "kind", "step"),
    [
        (0.5, 20, "metric", 0.001),  # half a millimeter off: 0.1 % at the near end, 0.0025 % at the far end
        (0.5, 65.535, "metric", 0.001),
        (0.5, 200, "metric", 200 / 65535),
        (2.564, 100, "affine-inverse", 100 / 65535),
        (1e-4, 1e-2, "relative", 1e-2 / 65535),
    ],
)
def test_a_png_is_half_a_step_off_at_most_and_clips_nothing(tmp_path, near, far, kind, step):
    depth = depth_of(near, far, kind)
    assert png_step(depth) == pytest.approx(step, rel=1e-6)
    found = there_and_back(depth, tmp_path, "png")
    known, exact = found.depth[depth.valid].double(), depth.depth[depth.valid].double()
    assert (known - exact).abs().max() <= step / 2 + 1e-6 * far
    for end in (exact.argmin(), exact.argmax()):
        assert abs(known[end] / exact[end] - 1) <= step / 2 / exact[end] + 1e-6
    assert png_error(depth) == pytest.approx(step / 2 / near, rel=1e-4)


def test_a_point_nearer_than_half_a_step_stays_known(tmp_path):
    depth = depth_of(1e-4, 50)
    found = there_and_back(depth, tmp_path, "png")
    assert torch.equal(found.valid, depth.valid)
    assert found.depth[0, 0, 0] == pytest.approx(0.001)


@pytest.mark.parametrize("format", FORMATS)
def test_infinite_and_nan_depth_are_written_as_unknown(tmp_path, format):
    depth = depth_of(1, 9)
    depth.depth[0, 0, :3] = torch.tensor([torch.inf, torch.nan, -1.0])
    found = there_and_back(depth, tmp_path, format)
    assert not found.valid[0, 0, :3].any()
    assert found.valid.sum() == depth.valid.sum() - 3


def test_what_is_painted_into_a_png_comes_back(tmp_path):
    depth = depth_of(1, 9)
    write_depth(depth, tmp_path / "d", format="png")
    file = tmp_path / "d" / "000001.png"
    image = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    image[3:6, 4:8] = 2500
    cv2.imwrite(str(file), image)
    found = back(tmp_path / "d").depth
    assert torch.allclose(found[1, 3:6, 4:8], torch.tensor(2.5))
    assert (found - depth.depth * depth.valid)[0].abs().max() < 0.00051


def test_what_is_painted_into_an_exr_comes_back(tmp_path):
    write_depth(depth_of(1, 9), tmp_path / "d", format="exr")
    file = tmp_path / "d" / "000002.exr"
    with OpenEXR.File(str(file)) as image:
        image.channels()["Y"].pixels[0, 0] = 1.25
        image.write(str(file))
    assert back(tmp_path / "d").depth[2, 0, 0] == 1.25


def test_flags_win_over_what_the_file_says(tmp_path):
    depth = depth_of(1, 9, "relative")
    write_depth(depth, tmp_path / "d", format="png")
    found = back(tmp_path / "d", kind="metric", scale=0.5)
    assert found.kind is DepthKind.METRIC
    assert found.depth.max() == 0.5 * 65535


def test_depth_is_not_taken_for_inverse_depth(tmp_path):
    with pytest.raises(
        InvalidInput, match=r"contains depth of kind affine-inverse, so its kind cannot be inverse; omit"
    ):
        there_and_back(depth_of(1, 9, "affine-inverse"), tmp_path, "npz", kind="inverse")


def test_depth_of_the_cropped_size_is_not_cropped_again(tmp_path):
    """1000x495 is so nearly the shape of 1000x500 that it could be either's depth; its size says whose it is."""
    clip = Video(
        frames=torch.zeros(1, 99, 200, 3, dtype=torch.uint8),
        fps=Fraction(30),
        origin=frame_to((200, 100), (200, 99)).origin((0,), 1),
    )
    values = torch.arange(1, 99 * 200 + 1, dtype=torch.float32).reshape(1, 99, 200)
    depth = DepthVideo(depth=values, kind="metric", intrinsics=Intrinsics.from_fov(width=200, height=99))
    found = there_and_back(depth, tmp_path, "npz", clip=clip)
    assert torch.equal(found.depth, values)
    assert found.intrinsics == depth.intrinsics


@pytest.mark.parametrize("format", FORMATS)
def test_writing_again_replaces_all_of_it(tmp_path, format):
    write_depth(depth_of(1, 9), tmp_path / NAMES[format], format=format)
    short = attrs.evolve(depth_of(1, 9), depth=torch.full((1, HEIGHT, WIDTH), 3.0), valid=None)
    write_depth(short, tmp_path / NAMES[format], format=format)
    clip = Video(frames=torch.zeros(1, HEIGHT, WIDTH, 3, dtype=torch.uint8), fps=Fraction(30))
    assert torch.allclose(back(tmp_path / NAMES[format], clip=clip).depth, torch.tensor(3.0))
    assert [path.name for path in tmp_path.iterdir()] == [NAMES[format]]


def test_a_folder_never_takes_the_place_of_a_file(tmp_path):
    (tmp_path / "d").write_text("mine")
    with pytest.raises(OutputFailed, match="d cannot be written"):
        write_depth(depth_of(1, 9), tmp_path / "d", format="png")
    assert (tmp_path / "d").read_text() == "mine"


def test_what_cannot_be_written_is_said(tmp_path):
    with pytest.raises(InvalidInput, match="depth can be written as npz, png, exr, not 'tiff'"):
        write_depth(depth_of(1, 9), tmp_path / "d", format="tiff")
    unknown = attrs.evolve(depth_of(1, 9), valid=torch.zeros(COUNT, HEIGHT, WIDTH, dtype=torch.bool))
    with pytest.raises(InvalidInput, match="cannot be written: no pixel is valid"):
        write_depth(unknown, tmp_path / "d", format="png")


def test_images_that_a_program_saved_with_8_bits_are_refused(tmp_path):
    write_depth(depth_of(1, 9), tmp_path / "d", format="png")
    for file in (tmp_path / "d").glob("*.png"):
        cv2.imwrite(str(file), np.full((HEIGHT, WIDTH), 9, np.uint8))
    with pytest.raises(InvalidInput, match=r"depth.json: the images beside it have 8 bits; save them with 16"):
        back(tmp_path / "d")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ("{", "is not valid JSON"),
        ("[1]", "is not a JSON object"),
        ({"scale": "wide"}, "the scale must be a number"),
        ({"scale": -1}, "the scale is -1; it must be above 0"),
        ({"kind": "nearness"}, "the kind is 'nearness'; it must be one of metric, relative, affine-inverse"),
        ({"intrinsics": [[1, 2], [3, 4]]}, "intrinsics are .2, 2.; they must be"),
        ({"world_to_camera": [[1, 2], [3, 4]]}, r"world_to_camera must be \[3, 4, 4\], not \[2, 2\]"),
    ],
)
def test_a_sidecar_that_was_spoilt_is_one_sentence(tmp_path, changed, message):
    write_depth(depth_of(1, 9), tmp_path / "d", format="png")
    said = tmp_path / "d" / "depth.json"
    text = changed if isinstance(changed, str) else json.dumps({**json.loads(said.read_text()), **changed})
    said.write_text(text)
    with pytest.raises(InvalidInput, match=rf"depth.json:? {message}"):
        back(tmp_path / "d")
