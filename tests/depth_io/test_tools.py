"""Depth files in the layouts of other tools: meaning, sky, lens, poses, and files that are not depth."""

import numpy as np
import OpenEXR
import pytest

from ex4d_core.depth_io.tools import ARCHIVES, OTHERS, format_table
from ex4d_core.errors import InvalidConfig, InvalidInput
from ex4d_core.types import DepthKind
from tests.depth_io import scene
from tests.depth_io.reader import F32, SKY, exrs, images, npy, npz, opened
from tests.depth_io.scene import COUNT, HEIGHT, LENS, WIDTH, exr, pfm, png, write_files, write_zip

C2W, W2C = scene.poses(), np.linalg.inv(scene.poses())
FAR80 = scene.filled(80).astype(F32)
OTHER = np.full((HEIGHT, WIDTH), 0.5, F32)
LENSES = np.stack([LENS] * COUNT)
PICTURES = np.zeros((COUNT, HEIGHT, WIDTH, 3), np.uint8)


def cut3r(folder):
    for index in range(COUNT):
        (folder / "camera").mkdir(exist_ok=True)
        np.savez(folder / f"camera/{index:06d}.npz", pose=C2W[index], intrinsics=LENS)
        (folder / "depth").mkdir(exist_ok=True)
        np.save(folder / f"depth/{index:06d}.npy", FAR80[index])
        write_files(folder / "color", "{:06d}.png", [png(PICTURES[0])])
    return folder


def vipe(folder):
    for name in ("depth", "pose", "intrinsics"):
        (folder / name).mkdir()
    maps = [exr({"Z": one.astype(np.float16)}) for one in scene.filled(0)]
    write_zip(folder / "depth/clip.zip", {f"{index:05d}.exr": one for index, one in enumerate(maps)})
    np.savez(folder / "pose/clip.npz", data=C2W, inds=np.arange(COUNT))
    rows = np.tile(LENS[(0, 1, 0, 1), (0, 1, 2, 2)], (COUNT, 1))
    np.savez(folder / "intrinsics/clip.npz", data=rows, inds=np.arange(COUNT))
    return folder


def vista4d(folder):
    write_files(folder / "depths", "{:05d}.exr", [exr({"Y": one.astype(np.float16)}) for one in FAR80])
    rows = np.tile(LENS[(0, 1, 0, 1), (0, 1, 2, 2)], (COUNT, 1))
    np.savez(folder / "cameras.npz", cam_c2w=C2W, intrinsics=rows)
    return folder / "depths"


def record3d(folder):
    maps = scene.filled(np.nan).astype(F32)
    members = {f"rgbd/{index}.depth": one.tobytes() for index, one in enumerate(maps)}
    return write_zip(folder / "clip.r3d", {"metadata": scene.record3d_metadata(), **members})


def record3d_export(folder):
    write_files(folder / "depth", "{}.exr", [exr({"R": one}) for one in scene.filled(np.nan).astype(F32)])
    (folder / "metadata.json").write_text(scene.record3d_metadata())
    return folder / "depth"


def monst3r(folder):
    for index in range(COUNT):
        np.save(folder / f"frame_{index:04d}.npy", FAR80[index])
        np.save(folder / f"conf_{index}.npy", FAR80[index] * 0 + 1)
        (folder / f"frame_{index:04d}.png").write_bytes(png(PICTURES[0]))
    half = [np.arctan2(pose[0, 2], pose[0, 0]) / 2 for pose in C2W]
    rows = [[t, *C2W[t, :3, 3], np.cos(half[t]), 0, np.sin(half[t]), 0] for t in range(COUNT)]
    np.savetxt(folder / "pred_traj.txt", rows)
    np.savetxt(folder / "pred_intrinsics.txt", LENSES.reshape(COUNT, 9))
    return folder


def da3_streaming(folder):
    (folder / "results_output").mkdir()
    for index in range(COUNT):
        np.savez(
            folder / f"results_output/frame_{index + 8}.npz",
            image=PICTURES[0],
            depth=FAR80[index],
            conf=OTHER,
            intrinsics=LENS,
        )
    np.savetxt(folder / "camera_poses.txt", C2W.reshape(COUNT, 16))
    return folder / "results_output"


def moge(folder):
    angles = [2 * np.degrees(np.arctan(side / 2 / 60)) for side in (WIDTH, HEIGHT)]
    for index, one in enumerate(scene.depth().astype(F32)):
        inner = write_files(folder / f"{index:05d}", "depth.exr", [exr({"Y": one})])
        (inner / "points.exr").write_bytes(exr({"R": one, "G": OTHER, "B": OTHER}))
        (inner / "fov.json").write_text(f'{{"fov_x": {angles[0]:.2f}, "fov_y": {angles[1]:.2f}}}')
    return folder


def scannet(folder):
    write_files(folder / "depth", "{}.png", [png((one * 1000).astype(np.uint16)) for one in scene.filled(0)])
    (folder / "pose").mkdir()
    (folder / "intrinsic").mkdir()
    for index in range(COUNT):
        np.savetxt(folder / f"pose/{index}.txt", C2W[index])
    matrix = np.eye(4)
    matrix[:3, :3] = LENS
    np.savetxt(folder / "intrinsic/intrinsic_depth.txt", matrix)
    return folder / "depth"


def tum(folder):
    maps = [png((one * 5000).clip(0, 65534).astype(np.uint16)) for one in scene.filled(0).clip(0, 13)]
    write_files(folder / "depth", "130503110{}.160407.png", maps)
    (folder / "depth.txt").write_text("# timestamp filename\n")
    half = [np.arctan2(pose[0, 2], pose[0, 0]) / 2 for pose in C2W]
    rows = [[1305031100.17 + t, *C2W[t, :3, 3], 0, np.sin(half[t]), 0, np.cos(half[t])] for t in range(COUNT)]
    np.savetxt(folder / "groundtruth.txt", rows, fmt="%.6f")
    return folder / "depth"


def kitti(folder):
    maps = [png((one * 256).astype(np.uint16)) for one in scene.filled(0)]
    return write_files(folder / "groundtruth/image_02", "{:010d}.png", maps)


POINTS = scene.camera_points(scene.filled(0)).astype(np.float16)
PI3 = {"points": scene.world_points(FAR80), "conf": (~SKY).astype(F32), "camera_poses": C2W, "images": PICTURES}
WORLD = {"world_points": scene.world_points(FAR80), "images": PICTURES, "depth": FAR80[..., None]}

METRIC, RELATIVE = DepthKind.METRIC, DepthKind.RELATIVE
BOTH = ("lens", "poses")

READ = {
    "MegaSaM": (
        npz(images=PICTURES, depths=FAR80.astype(np.float16), intrinsic=LENS, cam_c2w=C2W),
        (RELATIVE, "finite", BOTH),
    ),
    "Depth Anything 3": (
        npz(depth=FAR80, conf=FAR80, extrinsics=W2C[:, :3], intrinsics=LENSES, image=PICTURES),
        (RELATIVE, "finite", BOTH),
    ),
    "Depth Anything 3 (streaming)": (da3_streaming, (RELATIVE, "finite", BOTH)),
    "VGGT": (npz(**WORLD, extrinsic=W2C[:, :3], intrinsic=LENSES), (RELATIVE, "finite", BOTH)),
    "MapAnything": (npz(**WORLD, extrinsic=C2W, intrinsic=LENSES, final_mask=~SKY), (METRIC, "unknown", BOTH)),
    "GeometryCrafter": (npz(point_map=POINTS, mask=~SKY), (RELATIVE, "unknown", ("lens",))),
    "Pi3": (npz(**PI3), (RELATIVE, "unknown", BOTH)),
    "Depth Pro": (npz(depth=scene.filled(1e4), focallength_px=np.float64(60)), (METRIC, "finite", ("lens",))),
    "MoGe": (moge, (METRIC, "sky", ("lens",))),
    "CUT3R": (cut3r, (RELATIVE, "finite", BOTH)),
    "ViPE": (vipe, (METRIC, "unknown", BOTH)),
    "Vista4D": (vista4d, (METRIC, "finite", BOTH)),
    "MonST3R": (monst3r, (RELATIVE, "finite", BOTH)),
    "Record3D": (record3d, (METRIC, "unknown", BOTH)),
    "Record3D, EXR": (record3d_export, (METRIC, "unknown", BOTH)),
    "ScanNet": (scannet, (METRIC, "unknown", BOTH)),
    "KITTI": (kitti, (METRIC, "unknown", ())),
    "MPI Sintel": (images("{:04d}.dpt", [scene.dpt(one) for one in scene.filled(1e10)]), (METRIC, "sky", ())),
    "PFM": (images("{}.pfm", [pfm(one, ">") for one in scene.filled(0)]), (METRIC, "unknown", ())),
    "Depth Anything V2": (
        lambda folder: [np.save(folder / f"{i}_raw_depth_meter.npy", one) for i, one in enumerate(FAR80)] and folder,
        (METRIC, "finite", ()),
    ),
    "zip of PNG": (
        lambda folder: write_zip(
            folder / "frames.zip",
            {
                **{f"depth/{i}.png": png((one * 1000).astype(np.uint16)) for i, one in enumerate(scene.filled(0))},
                "__MACOSX/depth/._0.png": b"",
            },
        ),
        (METRIC, "unknown", ()),
    ),
    "Blender, layers": (
        exrs(lambda z: {"ViewLayer.Depth.Z": z, "ViewLayer.Mist.Z": OTHER, "ViewLayer.Combined.R": OTHER}),
        (METRIC, "sky", ()),
    ),
    "Blender, Depth.V": (exrs(lambda z: {"Depth.V": z, "ViewLayer.Mist.Z": OTHER}), (METRIC, "sky", ())),
    "Unreal Engine": (
        exrs(
            lambda z: {
                **{f"FinalImageMovieRenderQueue_WorldDepth.{c}": (z * 100).clip(0, 65504).astype(F32) for c in "RGB"},
                **dict.fromkeys("RGB", OTHER),
            }
        ),
        (METRIC, "sky", ()),
    ),
    "Houdini": (exrs(lambda z: {"C.R": OTHER, "Pz": z}, sky=0), (METRIC, "unknown", ())),
    "Houdini, negative": (exrs(lambda z: {"C.R": OTHER, "Pz": -z}, sky=0), (METRIC, "unknown", ())),
    "Unreal Engine, SceneDepth": (
        exrs(lambda z: {f"FinalImageSceneDepth.{c}": (z * 100).clip(0, 65504).astype(F32) for c in "RGB"}),
        (METRIC, "sky", ()),
    ),
    "Nuke, z": (exrs(lambda z: {"depth.Z": z}), (METRIC, "sky", ())),
    "Arnold": (exrs(lambda z: {"R": OTHER, "G": OTHER, "B": OTHER, "Z": z}, sky=1e30), (METRIC, "sky", ())),
    "gray EXR": (exrs(lambda z: dict.fromkeys("RGBA", z)), (METRIC, "sky", ())),
    "infinite": (npy(scene.depth()), (METRIC, "sky", ())),
    "NaN": (npy(scene.filled(np.nan)), (METRIC, "unknown", ())),
    "-1": (npy(scene.filled(-1)), (METRIC, "unknown", ())),
    "65504": (npy(scene.filled(65504)), (METRIC, "sky", ())),
    "65535": (npy((scene.filled(65.535) * 1000).round().astype(np.uint16)), (METRIC, "unknown", ())),
    "batch": (npy(scene.depth()[None, :, None]), (METRIC, "sky", ())),
    "gray array": (npy(np.repeat(scene.filled(0)[..., None], 3, -1)), (METRIC, "unknown", ())),
    "pages": (
        lambda folder: (
            __import__("cv2").imwritemulti(str(folder / "d.tif"), list(scene.filled(0).astype(F32)))
            and folder / "d.tif"
        ),
        (METRIC, "unknown", ()),
    ),
}


@pytest.mark.parametrize("name", READ)
def test_a_layout_is_read_with_its_meaning_sky_lens_and_poses(tmp_path, name):
    write, (kind, sky, cameras) = READ[name]
    depth, said = opened(write(tmp_path))
    assert depth.kind is kind
    values, valid = depth.depth.numpy(), depth.valid.numpy()
    assert np.allclose(values[~SKY], scene.depth()[~SKY], rtol=5e-3)
    assert valid[~SKY].all()
    assert valid[SKY].all() == (sky != "unknown")
    assert (values[SKY] == 1e8).all() == (sky == "sky")
    assert (sky in said) == (sky != "finite")
    if "lens" in cameras:
        assert np.allclose(depth.intrinsics[-1].matrix(), LENS, atol=0.05)
    assert (depth.cameras is not None) == ("poses" in cameras)
    if "poses" in cameras:
        assert np.allclose(depth.cameras.world_to_camera.numpy(), scene.from_first(), atol=2e-3)
        assert "lens" in said
        assert "poses" in said


def test_tum_names_are_times_of_poses(tmp_path):
    depth, said = opened(tum(tmp_path))
    near = scene.depth() < 13
    assert np.allclose(depth.depth.numpy()[near], scene.depth()[near], atol=1e-3)
    assert np.allclose(depth.cameras.world_to_camera.numpy(), scene.from_first(), atol=2e-3)
    assert "TUM RGB-D" in said


NORMALIZED = scene.disparity() / scene.disparity().max(axis=(1, 2), keepdims=True)

ASKED = {
    "DepthCrafter": npz(depth=scene.disparity()),
    "DepthCrafter, EXR": images("frame_{:04d}.exr", [exr({"Z": one}) for one in scene.disparity()]),
    "Video Depth Anything": npz(depths=scene.disparity() * 30),
    "Video Depth Anything, EXR": lambda folder: write_files(
        folder / "clip_depths_exr", "frame_{:05d}.exr", [exr({"Z": one * 30}) for one in scene.disparity()]
    ),
    "Depth Anything V2, gray": images(
        "{:05d}.png", [png(np.repeat((one * 255).astype(np.uint8)[..., None], 3, -1)) for one in scene.disparity()]
    ),
    "Depth Anything V2, app": images("{}.png", [png((one * 300).astype(np.uint16)) for one in scene.disparity()]),
    "Marigold, 16 bits": images("{}_depth.png", [png((one * 65535).astype(np.uint16)) for one in NORMALIZED]),
    "Middlebury": images("disp{}.pfm", [pfm(one * 90) for one in scene.disparity()]),
    "Nuke": exrs(lambda z: {"depth.Z": 1 / z}),
    "Nuke, near": exrs(lambda z: {"depth.Z": 9 / z}),
}


@pytest.mark.parametrize("name", ASKED)
def test_values_of_several_meanings_are_asked_for(tmp_path, name):
    path = ASKED[name](tmp_path)
    with pytest.raises(InvalidInput, match=r"set the depth kind to metric, relative or inverse \(--depth-kind\)"):
        opened(path)
    depth, said = opened(path, kind="inverse")
    assert depth.kind is DepthKind.AFFINE_INVERSE
    assert "disparity" in said
    values = 1 / depth.depth.numpy()
    assert np.corrcoef(values[~SKY], (1 / scene.depth())[~SKY])[0, 1] > 0.99
    assert depth.valid.all()


def test_metric_depth_of_video_depth_anything_is_read_with_a_warning(tmp_path):
    depth, said = opened(npz(depths=FAR80)(tmp_path))
    assert depth.kind is METRIC
    assert "is read as meters" in said
    assert "--depth-kind" in said


def test_depth_that_looks_like_disparity_is_read_with_a_warning(tmp_path):
    _, said = opened(npz(depth=scene.disparity() * 30 + 0.1)(tmp_path))
    assert "its values look like disparity" in said
    noisy = np.random.default_rng(0).exponential(3, scene.depth().shape)
    assert "its values look like disparity" in opened(npz(depth=noisy)(tmp_path))[1]
    assert "disparity" not in opened(npz(depth=noisy + 1)(tmp_path))[1]


NORMALS = np.zeros((COUNT, HEIGHT, WIDTH, 3))
NORMALS[..., 2] = 1

REFUSED = {
    "normals": (npy(NORMALS), "a map of normals"),
    "points": (exrs(lambda z: {"R": z, "G": OTHER, "B": z * 2}), "a map of points"),
    "optical flow": (
        images("d.flo", [scene.dpt(np.zeros((HEIGHT, WIDTH)))[:12] + bytes(8 * HEIGHT * WIDTH)]),
        "optical flow",
    ),
    "mist": (exrs(lambda z: {"ViewLayer.Mist.Z": OTHER}), "only the mist of Blender"),
    "V-Ray": (exrs(lambda z: {f"VRayZDepth.{c}": OTHER for c in "RGB"}), r"0\.\.1 between two distances"),
    "two depths": (exrs(lambda z: {"front.Z": z, "back.Z": z}), "back.Z, front.Z"),
    "model": (lambda folder: write_files(folder, "m.glb", [b"glTF" + bytes(20)]) / "m.glb", "a GLB model"),
    "HDF5": (lambda folder: write_files(folder, "d.dat", [b"\x89HDF\r\n"]) / "d.dat", "an HDF5 file, .* numpy.savez"),
    "PyTorch": (lambda folder: write_files(folder, "d.pt", [b"PK\3\4"]) / "d.pt", "PyTorch, .* numpy.save"),
    "MATLAB": (lambda folder: write_files(folder, "d.mat", [b"MATLAB 5.0"]) / "d.mat", "a MATLAB file, .* numpy.save"),
    "pickle": (lambda folder: write_files(folder, "d.pkl", [b"\x80\4"]) / "d.pkl", "a Python pickle, .* numpy.save"),
    "no depth": (npz(images=PICTURES, cam_c2w=C2W), "has the arrays images, cam_c2w"),
    "two series": (images("{}_a.png", [png(PICTURES[0])]), "has 1 depth map but"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_files_that_are_not_depth_are_named(tmp_path, name):
    write, message = REFUSED[name]
    path = write(tmp_path)
    if name == "optical flow":
        path = path / "d.flo"
    with pytest.raises(InvalidInput, match=message):
        opened(path)


def test_a_layer_is_chosen_by_name(tmp_path):
    path = REFUSED["two depths"][0](tmp_path)
    assert opened(path, layer="front.Z")[0].valid.all()
    assert opened(npz(a=FAR80, b=FAR80)(tmp_path), layer="b")[0].valid.all()
    with pytest.raises(InvalidInput, match="has no array 'c'"):
        opened(npz(a=FAR80, b=FAR80)(tmp_path), layer="c")


def test_a_data_window_lies_in_its_display_window(tmp_path):
    maps = [exr({"Z": one[:20, :30]}, display=(WIDTH, HEIGHT)) for one in FAR80]
    depth, _ = opened(write_files(tmp_path / "maps", "{}.exr", maps))
    assert np.allclose(depth.depth[:, :20, :30], FAR80[:, :20, :30])
    assert not depth.valid[:, 20:].any()
    assert not depth.valid[:, :, 30:].any()


def test_parts_of_an_image_are_read(tmp_path):
    header = {"type": OpenEXR.scanlineimage}
    parts = [OpenEXR.Part(dict(header), {"R": OTHER}, "rgba"), OpenEXR.Part(dict(header), {"Z": FAR80[0]}, "depth")]
    OpenEXR.File(parts).write(str(tmp_path / "d.exr"))
    assert np.allclose(opened(tmp_path / "d.exr", count=1)[0].depth[0], FAR80[0])


def test_frames_that_vipe_leaves_out_stay_empty(tmp_path):
    folder = vipe(tmp_path)
    maps = {index: exr({"Z": scene.filled(0)[index].astype(np.float16)}) for index in (0, 2)}
    write_zip(folder / "depth/clip.zip", {f"{index:05d}.exr": one for index, one in maps.items()})
    depth, said = opened(folder)
    assert depth.valid.flatten(1).any(dim=1).tolist() == [True, False, True]
    assert "has no depth for the frames 1" in said


def test_the_lens_of_other_pictures_is_scaled(tmp_path):
    depth, said = opened(npz(depth=FAR80, intrinsics=LENS * [[10], [10], [1]])(tmp_path))
    assert np.allclose(depth.intrinsics[0].matrix(), LENS)
    assert "pictures of 640x360" in said
    depth, _ = opened(npz(depth=FAR80, intrinsics=LENS / [[WIDTH], [HEIGHT], [1]])(tmp_path))
    assert np.allclose(depth.intrinsics[0].matrix(), LENS)


def test_megasam_maps_are_the_upper_left_of_the_picture(tmp_path):
    cut = {"depths": FAR80[:, :32, :56], "images": PICTURES, "cam_c2w": C2W, "intrinsic": LENS}
    depth, said = opened(npz(**cut)(tmp_path))
    assert np.allclose(depth.depth[:, :32, :56], FAR80[:, :32, :56])
    assert not depth.valid[:, 32:].any()
    assert np.allclose(depth.intrinsics[0].matrix(), LENS)
    assert "the upper left of pictures of 64x36" in said


def test_an_unknown_colormap_is_named(tmp_path):
    path = write_files(tmp_path / "maps", "{}.png", [png(PICTURES[0])] * COUNT)
    with pytest.raises(InvalidConfig, match="no colormap 'infermo'; did you mean 'inferno'"):
        opened(path, colormap="infermo", kind="inverse")


def test_the_table_of_the_docs_has_every_tool():
    table = format_table()
    assert all(f"| {tool.name} |" in table for tool in (*ARCHIVES, *OTHERS))
    assert len({tool.name for tool in (*ARCHIVES, *OTHERS)}) == len(ARCHIVES) + len(OTHERS)


def test_arrays_of_one_frame_each_are_put_in_order(tmp_path):
    np.savez(tmp_path / "d.npz", **{f"frame_{index + 9}": one for index, one in enumerate(FAR80)})
    assert np.allclose(opened(tmp_path / "d.npz")[0].depth, FAR80)
    (tmp_path / "d.npz").rename(tmp_path / "d.zip")
    assert np.allclose(opened(tmp_path / "d.zip")[0].depth, FAR80)


def test_vectors_and_denoising_passes_are_not_depth(tmp_path):
    vectors = {f"N.{axis}": OTHER for axis in "XYZ"} | {"ViewLayer.Denoising Depth.Z": OTHER}
    depth, _ = opened(exrs(lambda z: {**vectors, "ViewLayer.Depth.Z": z})(tmp_path))
    assert np.allclose(depth.depth.numpy()[~SKY], scene.depth()[~SKY])
