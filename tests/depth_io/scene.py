"""A camera that moves over a plane below the sky, its depth, and files as other tools write them."""

import io
import json
import zipfile

import cv2
import numpy as np
import OpenEXR

COUNT, HEIGHT, WIDTH = 3, 36, 64
FOCAL = 60.0
LENS = np.array([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]])
HORIZON = 12


def depth():
    """Depth in meters, float64 [T, H, W], infinite in the sky."""
    rows = np.arange(HEIGHT)[:, None] - HORIZON + 0.5
    slope = 1 + 0.3 * np.linspace(-1, 1, WIDTH)
    with np.errstate(divide="ignore"):
        plane = np.where(rows > 2, 48 / (rows * slope), np.inf)
    return np.stack([plane * (1 + 0.01 * index) for index in range(COUNT)])


def poses():
    """Camera-to-world, float64 [T, 4, 4]: the first pose is not the identity."""
    found = np.tile(np.eye(4), (COUNT, 1, 1))
    for index in range(COUNT):
        angle = 0.1 * index + 0.3
        found[index, :3, :3] = [
            [np.cos(angle), 0, np.sin(angle)],
            [0, 1, 0],
            [-np.sin(angle), 0, np.cos(angle)],
        ]
        found[index, :3, 3] = 0.5 * index, 1, 0.2 * index
    return found


def from_first():
    """World-to-camera with the first camera as the world."""
    to_camera = np.linalg.inv(poses())
    return to_camera @ np.linalg.inv(to_camera[0])


def filled(sky):
    """Depth with a value in the sky."""
    return np.where(np.isinf(depth()), sky, depth())


def disparity():
    """Disparity normalized over the clip, 0 in the sky."""
    return (1 / depth() / (1 / depth()).max()).astype(np.float32)


def camera_points(z):
    """Points [T, H, W, 3] in camera axes."""
    x = (np.arange(WIDTH) + 0.5 - WIDTH / 2) / FOCAL
    y = (np.arange(HEIGHT) + 0.5 - HEIGHT / 2) / FOCAL
    return np.stack([x[None, None] * z, y[None, :, None] * z, z], axis=-1)


def world_points(z):
    """Points [T, H, W, 3] in the world."""
    return np.einsum("tij,thwj->thwi", poses()[:, :3, :3], camera_points(z)) + poses()[:, None, None, :3, 3]


def exr(channels, display=None):
    """Return an EXR image; `display` is the size of the display window."""
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    if display is not None:
        header["displayWindow"] = (np.array([0, 0], np.int32), np.array([display[0] - 1, display[1] - 1], np.int32))
    data = io.BytesIO()
    OpenEXR.File(header, {name: np.ascontiguousarray(pixels) for name, pixels in channels.items()}).write(data)
    return data.getvalue()


def pfm(values, order="<"):
    """Return a portable float map, rows from the bottom."""
    head = f"Pf\n{values.shape[1]} {values.shape[0]}\n{-1 if order == '<' else 1}.0\n".encode()
    return head + values[::-1].astype(f"{order}f4").tobytes()


def dpt(values):
    """Return a depth map of MPI Sintel."""
    sides = np.array(values.shape[::-1], "<i4").tobytes()
    return np.float32(202021.25).tobytes() + sides + values.astype("<f4").tobytes()


def png(values):
    """Return a PNG."""
    return cv2.imencode(".png", values)[1].tobytes()


def write_files(folder, name, contents):
    """Write a file per frame; `name` has a field for the index."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, content in enumerate(contents):
        (folder / name.format(index)).write_bytes(content)
    return folder


def write_zip(path, members):
    """Write an archive."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def record3d_metadata():
    """Return the metadata of a recording: quaternions x y z w, OpenGL axes, K of pictures of twice the size."""
    found = []
    for pose in poses():
        rotation = pose[:3, :3] @ np.diag([1.0, -1, -1])
        # All poses turn about y by an angle a, so that with the flipped axes q = (cos(a/2), 0, -sin(a/2), 0).
        half = np.arctan2(pose[0, 2], pose[0, 0]) / 2
        x, z = np.cos(half), -np.sin(half)
        assert np.allclose(rotation[0, 0], x * x - z * z)
        found.append([x, 0, z, 0, *pose[:3, 3]])
    k = (LENS * [[2], [2], [1]]).T.reshape(-1).tolist()
    return json.dumps({"w": 2 * WIDTH, "h": 2 * HEIGHT, "dw": WIDTH, "dh": HEIGHT, "K": k, "poses": found})
