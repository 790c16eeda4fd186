"""How close ex4d, told to behave as EX-4D, comes to what EX-4D itself made.

    python -m benchmarks.parity recon FOLDER [--renderer zbuffer] [--device cpu]

prints a table for the scenes (.npz) in a folder and exits with 1 where one misses a limit.

    python -m benchmarks.parity depthcrafter FOLDER [--device cpu]

does so for one run of DepthCrafter in float32: a folder with its settings (config.json), its weights (svd/ and
depthcrafter/) and what it made (golden.safetensors). It needs the plugin ex4d-depth-depthcrafter. The noise is drawn
from the seed, as it was there.

    python -m benchmarks.parity wan FOLDER [--device cpu]

does so for one run of the generation in float32, once from the weights in the original layout and once from the same in
diffusers' (wan/reference.py says what the folder holds). It needs the plugin ex4d-backbone-wan.

Rendered pixels near an edge are judged apart: the reference blends colors and alpha along silhouettes, so they may
differ there. An edge is between two neighboring pixels (4-neighborhood) where the reference's mask or ours changes,
or where our depth, of seen and occluded faces alike, jumps by more than 5 % of the nearer one. Both pixels belong to
it, and so do all within 2 pixels (8-neighborhood) of them; the others are the interior. Colors are close when no
channel differs by more than 2 levels of 255. Errors are the largest ones.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from ex4d_core.builtin.plugin import ex4d_mesh_builders
from ex4d_core.config.presets import preset_options
from ex4d_core.errors import Ex4dError, InputNotFound, InvalidInput
from ex4d_core.geometry.watertight import build_watertight
from ex4d_core.geometry.watertight_options import WatertightOptions
from ex4d_core.pipeline.session import Session
from ex4d_core.progress import silent
from ex4d_core.roles import Renderer
from ex4d_core.types import CameraPath, DepthKind, DepthVideo, Intrinsics, Mesh, Scene, Video

DEPTH_JUMP = 0.05
EDGE_RADIUS = 2
COLOR_LEVELS = 2

REFERENCE_FAR = 1e4

DEPTHCRAFTER_SETTINGS = {
    "num_inference_steps": "steps",
    "guidance_scale": "guidance",
    "window_size": "window",
    "overlap": "overlap",
    "seed": "seed",
    "decode_chunk_size": "decode_chunk",
}
"""Names of the settings in the reference's config.json and in ours."""

REFERENCE_MESH = WatertightOptions(**preset_options("ex4d", *ex4d_mesh_builders()))


@attrs.frozen
class Row:
    """One check of one scene."""

    scene: str
    check: str
    measured: str
    limit: str = ""
    passed: bool = True


@attrs.frozen(eq=False, kw_only=True)
class Golden:
    """A scene, what the reference was given and what it made of it."""

    name: str
    arrays: Mapping[str, np.ndarray]

    @classmethod
    def load(cls, path: Path) -> Golden:
        with np.load(path) as file:
            golden = cls(name=path.stem, arrays=dict(file))
        if missing := {"frames", "depth", "extrinsics", "path_index", "cam", "color", "mask"} - set(golden.arrays):
            raise InvalidInput(f"{path} is no scene of the reconstruction: it has no {', '.join(sorted(missing))}")
        return golden

    def tensor(self, name: str) -> Tensor:
        return torch.from_numpy(self.arrays[name])

    @property
    def path_index(self) -> list[int]:
        """Index on the path of each frame that the scene keeps."""
        return [int(index) for index in self.arrays["path_index"]]

    @property
    def cameras(self) -> CameraPath:
        """The reference's path."""
        height, width = self.arrays["depth"].shape[1:]
        return CameraPath.from_ex4d_npz({**self.arrays, "size": np.array([width, height])})

    @property
    def intrinsics(self) -> Intrinsics:
        return self.cameras.intrinsics_at(0)

    def mesh(self, frame: int, device: torch.device) -> Mesh:
        """Return our mesh of a frame that the scene keeps."""
        depth = self.tensor("depth")[frame].to(device)
        return build_watertight(self.tensor("frames")[frame], depth, self.intrinsics, REFERENCE_MESH)

    def scene(self) -> Scene:
        depth = DepthVideo(
            depth=self.tensor("depth"), kind=DepthKind.AFFINE_INVERSE, intrinsics=self.cameras.intrinsics
        )
        return Scene(video=Video(frames=self.tensor("frames"), fps=Fraction(30)), depth=depth)


def recon_rows(golden: Golden, session: Session) -> Iterator[Row]:
    """Yield the checks of the reconstruction."""
    yield camera_row(golden, session)
    yield from mesh_rows(golden, session.device)
    yield from picture_rows(golden, session.renderer(), session.device)


def camera_row(golden: Golden, session: Session) -> Row:
    """Return how far our path of the same name is from the reference's."""
    generator = session.trajectory(str(golden.arrays["cam"]))
    theirs = golden.arrays["extrinsics"]
    if golden.path_index[0] != 0:
        raise InvalidInput(f"{golden.name} keeps no frame 0, whose depth the path depends on")
    ours = generator.path(len(theirs), golden.scene()).to_opengl().numpy()
    error = float(np.abs(ours - theirs).max())
    return Row(golden.name, "cameras, error", f"{error:.2e}", "<= 1e-5", error <= 1e-5)


def mesh_rows(golden: Golden, device: torch.device) -> Iterator[Row]:
    """Yield how far our mesh of the first frame is from the reference's."""
    mesh = golden.mesh(0, device)
    vertices = golden.arrays["vertices_0"].astype(np.float64)
    distance = np.linalg.norm(mesh.vertices.cpu().numpy() - vertices, axis=1)
    error = float((distance / np.linalg.norm(vertices, axis=1)).max())
    yield Row(golden.name, "vertices, relative error", f"{error:.2e}", "<= 1e-4", error <= 1e-4)
    yield different(golden.name, "faces", mesh.faces.cpu().numpy(), golden.arrays["faces_0"])
    yield different(golden.name, "alpha", mesh.vertex_alpha().cpu().numpy(), golden.arrays["vertex_alpha_0"] > 0)


def different(scene: str, what: str, ours: np.ndarray, theirs: np.ndarray) -> Row:
    """Return the check that two arrays are equal."""
    if ours.shape != theirs.shape:
        return Row(scene, what, f"{list(ours.shape)}, not {list(theirs.shape)}", "equal", passed=False)
    count = int((ours != theirs).sum())
    return Row(scene, what, f"{count:,} differ", "equal", count == 0)


@attrs.define
class Tally:
    """Pixels counted over the frames of a scene."""

    total: int = 0
    equal: int = 0
    inside: int = 0
    inside_wrong: int = 0
    both: int = 0
    both_close: int = 0

    def add(self, ours: Any, their_mask: Tensor, their_color: Tensor) -> None:
        """Count a frame."""
        near_edge = changes(their_mask) | changes(ours.mask) | jumps(ours.depth)
        inside = ~grown(near_edge, EDGE_RADIUS)
        equal = ours.mask == their_mask
        both = inside & ours.mask & their_mask
        close = (ours.color.int() - their_color.int()).abs().amax(dim=-1) <= COLOR_LEVELS
        self.total += equal.numel()
        self.equal += int(equal.sum())
        self.inside += int(inside.sum())
        self.inside_wrong += int((inside & ~equal).sum())
        self.both += int(both.sum())
        self.both_close += int((both & close).sum())


def picture_rows(golden: Golden, renderer: Renderer, device: torch.device) -> Iterator[Row]:
    """Yield how our pictures compare; the reference replaces the first of the path by the source frame."""
    tally = Tally()
    for frame, index in enumerate(golden.path_index):
        if index != 0:
            pose = golden.cameras.world_to_camera[index]
            ours = renderer.render(golden.mesh(frame, device), pose.to(device), golden.intrinsics)
            their_mask, their_color = (golden.tensor(name)[frame].to(device) for name in ("mask", "color"))
            tally.add(ours, their_mask > 0, their_color)
    name = golden.name
    share, close = tally.equal / max(tally.total, 1), tally.both_close / max(tally.both, 1)
    yield Row(name, "mask equal, all pixels", f"{share:.4%}", ">= 99.9 %", share >= 0.999)
    wrong = tally.inside_wrong
    yield Row(name, "mask different, interior", f"{wrong} of {tally.inside:,}", "0", wrong == 0 and tally.inside > 0)
    yield Row(name, "color close, interior", f"{close:.4%}", ">= 99.95 %", close >= 0.9995)
    at_edges = tally.total - tally.inside
    near = (tally.total - tally.equal - wrong) / max(at_edges, 1)
    yield Row(name, "mask different, near edges", f"{near:.3%} of {at_edges:,}")


def changes(mask: Tensor) -> Tensor:
    """Return where a mask [H, W] differs from a neighbor."""
    return _either_side(mask[1:] != mask[:-1], mask[:, 1:] != mask[:, :-1])


def jumps(depth: Tensor) -> Tensor:
    """Return where depth [H, W] (inf where nothing is) is away from a neighbor's."""

    def apart(a: Tensor, b: Tensor) -> Tensor:
        # inf - inf is NaN, and no NaN is greater than anything: two pixels of nothing are no edge.
        return (a - b).abs() > DEPTH_JUMP * torch.minimum(a, b)

    return _either_side(apart(depth[1:], depth[:-1]), apart(depth[:, 1:], depth[:, :-1]))


def _either_side(below: Tensor, right: Tensor) -> Tensor:
    return (
        functional.pad(below, (0, 0, 0, 1))
        | functional.pad(below, (0, 0, 1, 0))
        | functional.pad(right, (0, 1))
        | functional.pad(right, (1, 0))
    )


def grown(mask: Tensor, radius: int) -> Tensor:
    """Return a mask [H, W] with all pixels up to `radius` rows and columns away."""
    pooled = functional.max_pool2d(mask[None, None].float(), 2 * radius + 1, stride=1, padding=radius)
    return pooled[0, 0] > 0


def compare_recon(folder: Path, renderer: str, device: torch.device) -> Iterator[Row]:
    """Yield the checks of all scenes in a folder."""
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise InputNotFound(f"there is no scene (.npz) in {folder}")
    session = Session(compat="ex4d", renderer=renderer, device=str(device))
    for path in paths:
        yield from recon_rows(Golden.load(path), session)


def compare_depthcrafter(folder: Path, device: torch.device) -> Iterator[Row]:
    """Yield how far DepthCrafter's steps and result are from one run of the reference."""
    from ex4d_core.geometry.inverse_depth import depth_from_relative, relative_inverse_depth
    from ex4d_depth_depthcrafter.diffusion import Meter
    from ex4d_depth_depthcrafter.estimator import DepthCrafter
    from ex4d_depth_depthcrafter.options import DepthCrafterOptions

    for name in ("config.json", "golden.safetensors", "svd", "depthcrafter"):
        if not (folder / name).exists():
            raise InputNotFound(f"{folder} is no run of DepthCrafter: it has no {name}")
    config, theirs = json.loads((folder / "config.json").read_text()), load_file(folder / "golden.safetensors")
    options = DepthCrafterOptions(
        unet=str(folder / "depthcrafter"),
        base=str(folder / "svd"),
        dtype="float32",
        far=REFERENCE_FAR,
        **{ours: config[name] for name, ours in DEPTHCRAFTER_SETTINGS.items()},
    )
    diffusion = DepthCrafter(options, device=device).diffusion
    frames = theirs["frames"]
    generator = torch.Generator(device).manual_seed(options.seed)
    meter = Meter(silent, 0)
    with torch.no_grad():
        known = diffusion.encode(frames, generator, meter)
        latents = diffusion.denoise(known, generator, meter)
        decoded = torch.cat(list(diffusion.decode(latents, meter))).movedim(1, -1)
    relative = relative_inverse_depth(
        diffusion.inverse_depth(frames, progress=silent), percentile=0, source="DepthCrafter"
    )
    depth = depth_from_relative(relative, near=options.near, far=options.far)
    converted = depth_from_relative(theirs["relative"], near=options.near, far=options.far)
    scene = folder.name
    yield distance(scene, "embeddings, error", known.embeddings, theirs["embeddings"])
    yield distance(scene, "latents, error", latents, theirs["latents"][0])
    yield distance(scene, "decoded frames, error", decoded, theirs["decoded"])
    yield distance(scene, "relative inverse depth, error", relative, theirs["relative"])
    # Depth runs to 10000 where inverse depth goes to 0, so it is compared as what it was made from, and, made from
    # the same numbers, in proportion.
    their_depth = theirs["depth"][:, 0]
    yield distance(scene, "near / depth, error", options.near / depth, options.near / their_depth)
    yield distance(scene, "depth of their inverse, relative error", converted / their_depth, torch.ones(()))


def compare_wan(folder: Path, device: torch.device) -> Iterator[Row]:
    """Yield how far each step of the generation is from one run of the reference, from both layouts of the weights."""
    from benchmarks.wan.reference import differences

    for found in differences(folder, device):
        measured, limit = (f"{value:.2e}" if 0 < value < 1 else f"{value:g}" for value in (found.measured, found.limit))
        yield Row(found.layout, f"{found.what}, error", measured, f"<= {limit}", found.measured <= found.limit)


def distance(scene: str, what: str, ours: Tensor, theirs: Tensor) -> Row:
    """Return the check that no two numbers are further apart than 1e-4."""
    error = float((ours.cpu() - theirs).abs().max())
    return Row(scene, what, f"{error:.2e}", "<= 1e-4", error <= 1e-4)


def table_of(rows: list[Row], title: str) -> Table:
    """Return the checks as a table."""
    table = Table(title=title)
    for column in ("scene", "check", "measured", "limit", ""):
        table.add_column(column)
    for before, row in zip([None, *rows[:-1]], rows, strict=True):
        if before is not None and before.scene != row.scene:
            table.add_section()
        verdict = "" if not row.limit else "ok" if row.passed else "[bold red]FAIL"
        table.add_row(row.scene, row.check, row.measured, row.limit, verdict)
    return table


def run(title: str, rows: Callable[[], Iterator[Row]]) -> int:
    """Print the table of some checks and return the exit code."""
    try:
        made = list(rows())
    except Ex4dError as error:
        Console(stderr=True).print(str(error), markup=False)
        return 2
    Console().print(table_of(made, title))
    return 0 if all(row.passed for row in made) else 1


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Compare ex4d with what EX-4D itself made.")
    commands = parser.add_subparsers(dest="command", required=True)
    recon = commands.add_parser("recon", help="cameras, meshes and rendered guidance")
    recon.add_argument("folder", type=Path, help="holds scenes (.npz)")
    recon.add_argument("--renderer", default="zbuffer", help="name of a renderer (default: zbuffer)")
    recon.add_argument("--device", type=torch.device, default=torch.device("cpu"), help="default: cpu")
    depthcrafter = commands.add_parser("depthcrafter", help="each step of one run of DepthCrafter, and its depth")
    depthcrafter.add_argument("folder", type=Path, help="holds config.json, golden.safetensors, svd/, depthcrafter/")
    depthcrafter.add_argument("--device", type=torch.device, default=torch.device("cpu"), help="default: cpu")
    wan = commands.add_parser("wan", help="each step of one run of EX-4D's generation, and its frames")
    wan.add_argument("folder", type=Path, help="holds config.json, golden.safetensors and the weights")
    wan.add_argument("--device", type=torch.device, default=torch.device("cpu"), help="default: cpu")
    given = parser.parse_args(arguments)
    if given.command == "wan":
        return run(f"wan on {given.device}", lambda: compare_wan(given.folder, given.device))
    if given.command == "depthcrafter":
        return run(f"depthcrafter on {given.device}", lambda: compare_depthcrafter(given.folder, given.device))
    return run(
        f"recon, {given.renderer} on {given.device}", lambda: compare_recon(given.folder, given.renderer, given.device)
    )


if __name__ == "__main__":
    sys.exit(main())
