"""Depth from files lands on the right frame, pixel and unit."""

import os
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from ex4d_core.builtin.depth_file import DepthFile
from ex4d_core.builtin.depth_file_options import DepthFileOptions
from ex4d_core.errors import InputNotFound, InvalidInput
from ex4d_core.progress import silent
from ex4d_core.types import DepthKind, Video
from ex4d_core.video_io import read_video
from ex4d_core.video_io.framing import frame_to

CPU = torch.device("cpu")
HEIGHT, WIDTH, COUNT = 24, 32, 3
DATA = os.environ.get("EX4D_REFERENCE_DATA")


def clip(count=COUNT, height=HEIGHT, width=WIDTH, origin=None):
    return Video(frames=torch.zeros(count, height, width, 3, dtype=torch.uint8), fps=Fraction(30), origin=origin)


def depth_of(path, video=None, **options):
    file = DepthFile(DepthFileOptions(path=str(path), **options), device=CPU)
    return file.estimate(clip() if video is None else video, progress=silent)


def meters(count=COUNT, height=HEIGHT, width=WIDTH):
    """Depth in meters that tells every pixel and frame apart, in whole millimeters."""
    return (2000 + np.arange(count * height * width).reshape(count, height, width)) / 1000


def close(depth, wanted):
    return torch.allclose(depth.depth, torch.from_numpy(np.asarray(wanted, np.float32)), rtol=1e-6)


# Formats


@pytest.mark.parametrize("shape", [(COUNT, HEIGHT, WIDTH), (COUNT, 1, HEIGHT, WIDTH), (COUNT, HEIGHT, WIDTH, 1)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_an_array_of_fractions_is_meters(tmp_path, shape, dtype):
    values = meters().astype(dtype)
    np.save(tmp_path / "d.npy", values.reshape(shape))
    depth = depth_of(tmp_path / "d.npy")
    assert close(depth, values)
    assert depth.kind is DepthKind.METRIC
    assert depth.valid.all()


def test_an_array_of_whole_numbers_is_millimeters_unless_told(tmp_path):
    np.save(tmp_path / "d.npy", np.round(meters() * 1000).astype(np.uint16))
    assert close(depth_of(tmp_path / "d.npy"), meters())
    assert close(depth_of(tmp_path / "d.npy", scale=0.002), 2 * meters())


@pytest.mark.parametrize("name", ["depth", "depths", "whatever"])
def test_an_archive_may_bring_validity_and_intrinsics(tmp_path, name):
    valid = np.ones((COUNT, HEIGHT, WIDTH), bool)
    valid[1, 2, 3] = False
    matrix = np.array([[40.0, 0, 15], [0, 41, 12], [0, 0, 1]])
    np.savez(tmp_path / "d.npz", **{name: meters(), "valid": valid, "K": matrix})
    depth = depth_of(tmp_path / "d.npz")
    assert np.array_equal(depth.valid.numpy(), valid)
    assert np.array_equal(depth.intrinsics[0].matrix(), matrix)


def test_a_folder_of_png_is_millimeters_with_zero_unknown(tmp_path):
    values = np.round(meters() * 1000).astype(np.uint16)
    values[0, 0, 0] = 0
    for index in range(COUNT):
        cv2.imwrite(str(tmp_path / f"{index + 9}.png"), values[index])
    depth = depth_of(tmp_path)
    assert close(depth, values / 1000)
    assert not depth.valid[0, 0, 0]
    assert depth.valid.sum() == depth.valid.numel() - 1


def depth_video(path, values, pix_fmt, codec="ffv1", **options):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30, options=options)
        stream.height, stream.width, stream.pix_fmt = *values.shape[1:], pix_fmt
        for image in values:
            frame = av.VideoFrame(image.shape[1], image.shape[0], pix_fmt)
            rows = np.zeros((image.shape[0], frame.planes[0].line_size), np.uint8)
            packed = np.ascontiguousarray(image.astype("<u2")).view(np.uint8)
            rows[:, : packed.shape[1]] = packed
            frame.planes[0].update(rows.tobytes())
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(
    ("codec", "bits", "options"),
    [
        ("ffv1", 16, {}),
        ("ffv1", 12, {}),
        ("ffv1", 10, {}),
        ("libx265", 12, {"x265-params": "lossless=1:log-level=none"}),
    ],
)
def test_a_gray_video_keeps_all_its_bits(tmp_path, codec, bits, options):
    values = np.random.default_rng(0).integers(1, 1 << bits, (COUNT, HEIGHT, WIDTH))
    depth_video(tmp_path / "d.mkv", values, f"gray{bits}le", codec, **options)
    assert close(depth_of(tmp_path / "d.mkv"), values / 1000)


def test_an_eight_bit_video_is_normalized_and_must_be_named(tmp_path):
    shades = torch.linspace(1, 255, WIDTH).byte().expand(COUNT, HEIGHT, WIDTH)
    with av.open(str(tmp_path / "d.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "gray"
        for image in shades:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image.contiguous().numpy(), format="gray")))
        container.mux(stream.encode(None))
    depth = depth_of(tmp_path / "d.mkv", kind="relative", scale=5)
    assert torch.allclose(depth.depth, shades / 255 * 5, rtol=1e-3)
    assert depth.kind is DepthKind.RELATIVE
    with pytest.raises(InvalidInput, match="have 8 bits and no unit; set the depth kind to metric, relative or"):
        depth_of(tmp_path / "d.mkv")


# Inverse depth


def test_inverse_depth_is_normalized_over_the_whole_file(tmp_path):
    values = np.linspace(-3, 5, COUNT * HEIGHT * WIDTH).reshape(COUNT, HEIGHT, WIDTH)
    values[0, 0, 5] = np.nan
    np.save(tmp_path / "d.npy", values)
    depth = depth_of(tmp_path / "d.npy", kind="inverse")
    assert depth.kind is DepthKind.AFFINE_INVERSE
    assert depth.depth.max() == pytest.approx(100)
    assert depth.depth[-1, -1, -1] == pytest.approx(10000 / 3900)
    assert not depth.valid[0, 0, 5]
    one = clip(1, origin=frame_to((WIDTH, HEIGHT), None).origin((1,), COUNT))
    assert torch.equal(depth_of(tmp_path / "d.npy", one, kind="inverse").depth[0], depth.depth[1])


def test_the_far_end_of_ten_thousand_is_the_mapping_of_ex4d(tmp_path):
    values = np.random.default_rng(0).random((COUNT, HEIGHT, WIDTH)).astype(np.float32) ** 4
    values[0, 0, :4] = 0, 1, 1e-5, 3e-4
    np.save(tmp_path / "d.npy", values)
    depth = depth_of(tmp_path / "d.npy", kind="inverse", near=10000 / 3900, far=10000.0)
    assert close(depth, np.clip(10000 / np.maximum(3900 * values.astype(np.float64), 1e-5), 1e-4, 1e4))


@pytest.mark.parametrize("name", ["inverse_depth", "disparity"])
def test_an_array_named_inverse_is_inverse_and_its_zero_is_far(tmp_path, name):
    values = np.zeros((COUNT, HEIGHT, WIDTH), np.uint16)
    values[:, 10:] = 65535
    np.savez(tmp_path / "d.npz", **{name: values})
    depth = depth_of(tmp_path / "d.npz")
    assert depth.valid.all()
    assert depth.depth.unique().tolist() == pytest.approx([10000 / 3900, 100])
    with pytest.raises(InvalidInput, match="inverse depth, so its kind cannot be metric"):
        depth_of(tmp_path / "d.npz", kind="metric")


# Frames and windows


def test_the_depth_follows_the_frames_that_were_taken(tmp_path):
    np.save(tmp_path / "d.npy", meters(10))
    taken = clip(2, origin=frame_to((WIDTH, HEIGHT), None).origin((4, 7), 10))
    assert close(depth_of(tmp_path / "d.npy", taken), meters(10)[[4, 7]])
    np.save(tmp_path / "d.npy", meters(2))
    assert close(depth_of(tmp_path / "d.npy", taken), meters(2))


def test_the_depth_follows_the_window_that_was_taken(tmp_path):
    values = np.broadcast_to(np.arange(1, 41, dtype=np.float32), (1, 20, 40))
    np.savez(tmp_path / "d.npz", depth=values, K=np.array([[30.0, 0, 20], [0, 30, 10], [0, 0, 1]]))
    cropped = clip(1, 40, 40, frame_to((80, 40), (40, 40)).origin((0,), 1))
    depth = depth_of(tmp_path / "d.npz", cropped)
    assert depth.depth[0, 0].unique().tolist() == list(range(11, 31))
    lens = depth.intrinsics[0]
    assert (lens.fx, lens.cx, lens.cy, lens.width, lens.height) == (60, 20, 20, 40, 40)


def test_padding_has_no_depth(tmp_path):
    np.save(tmp_path / "d.npy", np.full((1, 16, 32), 3.0))
    padded = clip(1, 32, 32, frame_to((32, 16), (32, 32), "pad").origin((0,), 1))
    depth = depth_of(tmp_path / "d.npy", padded)
    assert depth.valid[0, 8:24].all()
    assert depth.valid.sum() == 16 * 32
    assert (depth.depth[0, :8] == 0).all()


def test_depth_of_the_cropped_shape_is_only_resized(tmp_path):
    np.save(tmp_path / "d.npy", meters(1, 20, 20))
    cropped = clip(1, 40, 40, frame_to((80, 40), (40, 40)).origin((0,), 1))
    assert close(depth_of(tmp_path / "d.npy", cropped), meters(1, 20, 20).repeat(2, 1).repeat(2, 2))


def test_no_depth_is_invented_between_near_and_far(tmp_path):
    values = np.where(np.arange(64) < 29, 1.0, 50.0) * np.ones((COUNT, 48, 1))
    np.save(tmp_path / "d.npy", values)
    assert depth_of(tmp_path / "d.npy").depth.unique().tolist() == [1, 50]


def test_unknown_values_are_not_valid(tmp_path):
    values = meters()
    values[0, 0, :3] = np.nan, -np.inf, 0
    np.save(tmp_path / "d.npy", values)
    depth = depth_of(tmp_path / "d.npy")
    assert not depth.valid[0, 0, :3].any()
    assert depth.valid.sum() == depth.valid.numel() - 3
    assert torch.isfinite(depth.depth).all()


def test_the_default_field_of_view_is_that_of_ex4d(tmp_path):
    np.save(tmp_path / "d.npy", np.ones((1, 64, 64)) * 3)
    assert depth_of(tmp_path / "d.npy", clip(1, 512, 512)).intrinsics[0].fx == pytest.approx(500)


def test_the_fingerprint_changes_with_the_contents_only(tmp_path):
    def fingerprint(path):
        return DepthFileOptions(path=str(path)).fingerprint()

    np.save(tmp_path / "d.npy", meters())
    first = fingerprint(tmp_path / "d.npy")
    os.utime(tmp_path / "d.npy", (1, 1))
    assert fingerprint(tmp_path / "d.npy") == first
    folder = fingerprint(tmp_path)
    np.save(tmp_path / "d.npy", meters() + 1)
    assert fingerprint(tmp_path / "d.npy") != first
    assert fingerprint(tmp_path) != folder
    with pytest.raises(InputNotFound, match="gone does not exist"):
        fingerprint(tmp_path / "gone")


# Errors


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((COUNT, HEIGHT, WIDTH), np.nan), "has no valid depth in the requested frames: all values are NaN"),
        (np.zeros((COUNT, HEIGHT, WIDTH), np.uint16), "has no valid depth in the requested frames: all values are 0"),
        (-meters(), "has negative values, so it is not depth"),
        (meters() / 100, "between 0 and 1, which may be meters or normalized"),
        (meters(5), "has 5 depth maps but the video has 3 frames; pass one map for each frame of the video$"),
        (meters(3, 24, 24), "is 24x24 but the video is 32x24; depth must have the aspect ratio"),
        (
            meters()[None, None].repeat(2, 0),
            r"contains an array of shape \[2, 1, 3, 24, 32\]; depth must be \[T, H, W\]",
        ),
        (np.array(["a"]), "values; depth must be numbers"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, values, message):
    np.save(tmp_path / "d.npy", values)
    with pytest.raises(InvalidInput, match=message):
        depth_of(tmp_path / "d.npy")


def test_counts_of_video_source_and_depth_are_all_named(tmp_path):
    np.save(tmp_path / "d.npy", meters(5))
    taken = clip(2, origin=frame_to((64, 48), (WIDTH, HEIGHT)).origin((4, 7), 10))
    with pytest.raises(InvalidInput, match="5 depth maps but the video has 2 frames, from a source of 10"):
        depth_of(tmp_path / "d.npy", taken)
    np.save(tmp_path / "d.npy", meters(10, 48, 48))
    with pytest.raises(InvalidInput, match="is 48x48 but the video is 32x24 and its source 64x48; depth must"):
        depth_of(tmp_path / "d.npy", taken)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"a": meters(), "b": meters()},
            "has the arrays a, b; name the array of depth one of depth, depths, inverse_depth",
        ),
        ({"depth": meters(), "valid": np.ones((2, 2), bool)}, r"valid is \[2, 2\] but the depth is \[3, 24, 32\]"),
        ({"depth": meters(), "K": np.eye(4)}, r"intrinsics are \[4, 4\]; they must be \[3, 3\] or \[3, 3, 3\]"),
        ({"depth": meters(), "K": np.eye(3)}, "intrinsics must be in pixels of the depth maps"),
        ({"inverse_depth": np.ones((3, 24, 32))}, "equal, so it cannot be inverse depth"),
    ],
)
def test_archives_that_do_not_fit_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(InvalidInput, match=message):
        depth_of(tmp_path / "d.npz")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("d.npy", "is not a readable depth file: it is not an array of numpy.save"),
        ("d.npz", "is not a readable depth file: it is not an archive of numpy.savez"),
        ("d.mkv", r"is not a depth file, or is damaged; use an array \[T, H, W\] in a .npy"),
        ("README.md", r"is not a depth file, or is damaged; use an array \[T, H, W\] in a .npy"),
        ("d.exr", "is not an EXR"),
    ],
)
def test_files_that_are_broken_or_empty_are_refused(tmp_path, name, message):
    (tmp_path / name).write_bytes(b"no depth at all" * 9)
    with pytest.raises(InvalidInput, match=f"{name} {message}"):
        depth_of(tmp_path / name)
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(InvalidInput, match=f"the depth file .*{name} is empty; copy or save it again"):
        depth_of(tmp_path / name)


def test_folders_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(InputNotFound, match=r"the depth file .*gone does not exist"):
        depth_of(tmp_path / "gone")
    with pytest.raises(InvalidInput, match="has no depth maps"):
        depth_of(tmp_path)
    cv2.imwrite(str(tmp_path / "0.png"), np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3)))
    with pytest.raises(InvalidInput, match=r"0\.png is in color, so it is not depth"):
        depth_of(tmp_path)
    for index, height in enumerate((HEIGHT, HEIGHT, 20)):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.ones((height, WIDTH), np.uint16))
    with pytest.raises(InvalidInput, match=r"2.png has another size or type than 0.png"):
        depth_of(tmp_path)
    np.save(tmp_path / "3.npy", meters(1)[0])
    with pytest.raises(InvalidInput, match=r"mixes .npy and .png files"):
        depth_of(tmp_path)


def test_pickled_arrays_are_refused(tmp_path):
    np.save(tmp_path / "d.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(InvalidInput, match="contains Python objects"):
        depth_of(tmp_path / "d.npy")


@pytest.mark.parametrize("options", [{"kind": "other"}, {"scale": 0}, {"near": 0}, {"near": 5.0, "far": 5.0}])
def test_options_without_meaning_are_refused(options):
    with pytest.raises(ValueError, match=r"must be|in "):
        DepthFileOptions(path="d.npy", **options)


# Real clips


def real(*parts):
    if not DATA:
        pytest.skip("EX4D_REFERENCE_DATA is not set")
    path = Path(DATA, "clips", *parts)
    if not path.exists():
        pytest.skip(f"{path} is absent")
    return path


def test_a_real_scene_of_millimeters_lands_on_its_cropped_frames():
    video = read_video(real("kitchen", "source", "rgb"), size=(256, 256), num_frames=5, start=10, stride=2)
    depth = depth_of(real("kitchen", "source", "depth"), video)
    stored = cv2.imread(str(real("kitchen", "source", "depth", "000014.png")), cv2.IMREAD_UNCHANGED)
    assert depth.depth.shape == (5, 256, 256)
    assert depth.depth[2, 128, 128] == pytest.approx(stored[240, 320] / 1000, abs=0.02)
    assert 0.5 < depth.valid.float().mean() < 0.95
    assert set(depth.depth[2].mul(1000).round().int().unique().tolist()) <= set(np.unique(stored).tolist())


def test_a_real_scene_of_inverse_depth_has_near_and_far():
    video = read_video(real("bus", "input.mp4"))
    depth = depth_of(real("bus", "relative_inverse_depth.npz"), video)
    assert depth.valid.all()
    assert depth.depth.min() == pytest.approx(10000 / 3900)
    assert depth.depth.max() == pytest.approx(100)


# Messages


def test_a_run_says_what_the_file_was_taken_for_and_its_doubts(ex4d, small_clip, tmp_path):
    values = np.load(small_clip.depth)
    np.savez(tmp_path / "d.npz", depth=values, K=np.array([[60.0, 0, 32], [0, 60, 24], [0, 0, 1]]), a=np.eye(4))
    np.savez(tmp_path / "p.npz", depth=values, poses=np.tile(np.eye(4), (len(values), 1, 1)))
    code, _, err = ex4d("recon", small_clip.video, "--depth-file", tmp_path / "d.npz", "--cam", "10", "-o", "a")
    assert code == 0, err
    assert "d.npz: depth in units of 1 m (not stated in the file; else --depth-kind" in err
    assert "lens of K" in err
    code, _, err = ex4d("recon", small_clip.video, "--depth-file", tmp_path / "p.npz", "--cam", "10", "-o", "b", "-q")
    assert code == 0, err
    assert "p.npz ignores poses" in err
    assert "in units of" not in err


def test_the_fingerprint_covers_cameras_beside_the_maps(tmp_path):
    (tmp_path / "depth").mkdir()
    np.save(tmp_path / "depth" / "0.npy", meters(1)[0])
    first = DepthFileOptions(path=str(tmp_path / "depth")).fingerprint()
    np.savez(tmp_path / "cameras.npz", cam_c2w=np.eye(4)[None])
    assert DepthFileOptions(path=str(tmp_path / "depth")).fingerprint() != first


@pytest.mark.parametrize("colormap", ["", "../x", "a" * 99])
def test_a_colormap_is_a_name(colormap):
    with pytest.raises(ValueError, match="colormap"):
        DepthFileOptions(path="d.npy", colormap=colormap)
