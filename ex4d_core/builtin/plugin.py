"""Plugin that offers the built-in components."""

from __future__ import annotations

from ex4d_core.builtin.depth_file_options import DepthFileOptions
from ex4d_core.builtin.depth_sketch_options import SketchOptions
from ex4d_core.builtin.path_file_options import PathFileOptions
from ex4d_core.builtin.render_options import RasterOptions, TorchOptions
from ex4d_core.builtin.telea_options import TeleaOptions
from ex4d_core.geometry.watertight_options import WatertightOptions
from ex4d_core.hookspecs import hookimpl
from ex4d_core.provider import Provider, Seconds

DEVICES = ("cpu", "cuda", "mps")
"""For times of what runs on the CPU in any case."""

EX4D_VIEW = {"near": 1e-3, "far": 1e3, "min_patch": 0}
"""Depth range of the EX-4D renderer, in scene units, and its unfiltered mask."""


@hookimpl
def ex4d_depth_estimators() -> list[Provider]:
    """Offer depth from files, and depth without weights."""
    return [
        Provider(
            name="file",
            summary="precomputed depth: .npy, .npz, 16-bit PNG or EXR folders, lossless video",
            license="Apache-2.0",
            component="ex4d_core.builtin.depth_file:DepthFile",
            options=DepthFileOptions,
            typical_seconds=dict.fromkeys(DEVICES, Seconds(per_megapixel=0.03)),
            presets={"ex4d": {"far": 10000.0}},
            contract="ex4d_core.testing.builtin_contracts:FileContract",
        ),
        Provider(
            name="sketch",
            summary="a sketch from position, parallax, motion and color, not an estimate; no weights, any device",
            license="Apache-2.0",
            component="ex4d_core.builtin.depth_sketch:SketchDepth",
            options=SketchOptions,
            typical_seconds=dict.fromkeys(DEVICES, Seconds(per_frame=0.1, per_megapixel=0.1)),
            preview=True,
            auto=-10,
            contract="ex4d_core.testing.builtin_contracts:SketchContract",
        ),
    ]


@hookimpl
def ex4d_mesh_builders() -> list[Provider]:
    """Offer the depth watertight mesh."""
    return [
        Provider(
            name="watertight",
            summary="watertight mesh of each frame, occluded surfaces included (DW-Mesh)",
            license="Apache-2.0",
            component="ex4d_core.builtin.mesh_watertight:WatertightMesh",
            options=WatertightOptions,
            typical_seconds={"cpu": Seconds(per_megapixel=0.04), "cuda": Seconds(per_megapixel=0.004)},
            presets={
                "ex4d": {
                    "border_depth": 100.0,
                    "max_stretch": 0.0,
                    "thin_width": 0.0,
                    "cap": "corners",
                    "pixel_center": 0.0,
                    "hidden_colors": "black",
                }
            },
            auto=10,
            contract="ex4d_core.testing.builtin_contracts:WatertightContract",
        )
    ]


@hookimpl
def ex4d_trajectory_generators() -> list[Provider]:
    """Offer camera paths from files."""
    return [
        Provider(
            name="from_file",
            summary="camera path from a file: EX-4D, nerfstudio, Blender, COLMAP, matrices and more",
            license="Apache-2.0",
            component="ex4d_core.builtin.path_file:PathFile",
            options=PathFileOptions,
            presets={"ex4d": {"look_at": "nearest"}},
            contract="ex4d_core.testing.builtin_contracts:FromFileContract",
        )
    ]


@hookimpl
def ex4d_renderers() -> list[Provider]:
    """Offer the renderers."""
    return [
        Provider(
            name="torch",
            summary="rasterizer in PyTorch, for any GPU",
            license="Apache-2.0",
            component="ex4d_core.builtin.render_torch:TorchRenderer",
            options=TorchOptions,
            typical_seconds={"cuda": Seconds(per_megapixel=0.001)},
            presets={"ex4d": EX4D_VIEW},
            devices=("cuda", "mps"),
            auto=20,
        ),
        Provider(
            name="zbuffer",
            summary="rasterizer on the CPU",
            license="Apache-2.0",
            component="ex4d_core.builtin.render_zbuffer:ZBufferRenderer",
            options=RasterOptions,
            typical_seconds=dict.fromkeys(DEVICES, Seconds(per_megapixel=0.08)),
            presets={"ex4d": EX4D_VIEW},
            auto=10,
            contract="ex4d_core.testing.builtin_contracts:ZBufferContract",
        ),
        Provider(
            name="raycast",
            summary="ray caster on the CPU; slow, the reference in tests",
            license="Apache-2.0; Open3D is MIT",
            component="ex4d_core.builtin.render_raycast:RaycastRenderer",
            options=RasterOptions,
            presets={"ex4d": EX4D_VIEW},
            requires=("open3d",),
            install_hint=("pip install open3d-cpu",),
        ),
    ]


@hookimpl
def ex4d_backbones() -> list[Provider]:
    """Offer a preview without weights."""
    return [
        Provider(
            name="telea",
            summary="a minimal preview: fills the holes of each frame with OpenCV",
            license="Apache-2.0",
            component="ex4d_core.builtin.backbone_telea:TeleaBackbone",
            options=TeleaOptions,
            typical_seconds=dict.fromkeys(DEVICES, Seconds(per_megapixel=0.2)),
            preview=True,
            auto=0,
            ignores=("prompt", "seed"),
            contract="ex4d_core.testing.builtin_contracts:TeleaContract",
        )
    ]
