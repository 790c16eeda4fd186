"""The plugins of the ex4d repository: where a component or command that is not installed comes from."""

from __future__ import annotations

import importlib.metadata
import os
import re
from pathlib import Path

import attrs

from ex4d_core.distributions import pip_command
from ex4d_core.shell import quote

COMMAND = "command"
"""Kind of the commands; that of a component is its role."""

EXECUTOR = "executor"
"""Kind of the ways to run jobs on other machines."""

_CHECKOUT = Path(__file__).parents[2]


@attrs.frozen(kw_only=True)
class KnownPlugin:
    """A plugin of the ex4d repository."""

    distribution: str
    folder: str
    """Its folder in the repository."""
    kind: str
    names: tuple[str, ...]
    """The components or commands that it offers."""
    gpu_memory: float = 0
    """As for `Provider`."""

    def install_command(self) -> str:
        """Return the command that installs it: from the checkout of ex4d, if there is one, with tested versions."""
        if not (_CHECKOUT / self.folder / "pyproject.toml").is_file():
            return f"{pip_command()} install {self.distribution}"
        is_here = Path.cwd() == _CHECKOUT
        pins, folder = (
            f"./{path}" if is_here else quote(str(_CHECKOUT / path)) for path in ("requirements-dev.txt", self.folder)
        )
        return f"{pip_command()} install -c {pins} {folder}"


KNOWN_PLUGINS = (
    KnownPlugin(
        distribution="ex4d-backbone-inpaint", folder="plugins/backbone_inpaint", kind="backbone", names=("inpaint",)
    ),
    KnownPlugin(
        distribution="ex4d-backbone-vace",
        folder="plugins/backbone_vace",
        kind="backbone",
        names=("vace",),
        gpu_memory=4,
    ),
    KnownPlugin(
        distribution="ex4d-backbone-wan",
        folder="plugins/backbone_wan",
        kind="backbone",
        names=("wan",),
        gpu_memory=8,
    ),
    KnownPlugin(
        distribution="ex4d-depth-anything3",
        folder="plugins/depth_anything3",
        kind="depth",
        names=("da3", "vda"),
    ),
    KnownPlugin(
        distribution="ex4d-depth-depthcrafter",
        folder="plugins/depth_depthcrafter",
        kind="depth",
        names=("depthcrafter",),
        gpu_memory=6,
    ),
    KnownPlugin(
        distribution="ex4d-depth-transformers",
        folder="plugins/depth_transformers",
        kind="depth",
        names=("transformers",),
    ),
    KnownPlugin(
        distribution="ex4d-render-nvdiffrast",
        folder="plugins/render_nvdiffrast",
        kind="renderer",
        names=("nvdiffrast",),
    ),
    KnownPlugin(
        distribution="ex4d-trajectories",
        folder="plugins/trajectories",
        kind="trajectory",
        names=(
            *("arc", "loop", "sweep", "orbit", "spiral", "zoom_in", "zoom_out", "dolly", "truck", "pedestal", "pan"),
            *("tilt", "roll", "dolly_zoom", "static", "handheld", "keyframes", "freeze", "slow", "reverse"),
        ),
    ),
    KnownPlugin(distribution="ex4d-cluster-ray", folder="plugins/cluster_ray", kind=EXECUTOR, names=("ray",)),
    KnownPlugin(distribution="ex4d-evaluation", folder="plugins/evaluation", kind=COMMAND, names=("eval",)),
    KnownPlugin(distribution="ex4d-training", folder="plugins/training", kind=COMMAND, names=("data", "train")),
    KnownPlugin(distribution="ex4d-viewer", folder="plugins/viewer", kind=COMMAND, names=("view",)),
    KnownPlugin(distribution="ex4d-web", folder="plugins/web", kind=COMMAND, names=("app",)),
)


def known_names(kind: str) -> list[str]:
    """Return the names of the components of a role, or of the commands, in the plugins of the repository."""
    return [name for plugin in KNOWN_PLUGINS if plugin.kind == kind for name in plugin.names]


def where_to_get(name: str, *kinds: str) -> str:
    """Return one sentence on a known plugin with a component or command that is not available, or ''.

    Args:
        name: of the component or command; plain angles such as `30` are of the plugin with the camera moves.
        kinds: roles, or `COMMAND`.
    """
    for plugin in KNOWN_PLUGINS:
        is_angle = plugin.kind == "trajectory" and re.match(r"[-+]?\d", name)
        if plugin.kind not in kinds or not (name in plugin.names or is_angle):
            continue
        if not _is_installed(plugin):
            return f"`{name}` is in {plugin.distribution}, which is not installed; type: {plugin.install_command()}"
        if _is_disabled(plugin):
            return f"`{name}` is in {plugin.distribution}, which the variable EX4D_DISABLE_PLUGINS disables"
    return ""


def where_to_get_models(role: str, device_type: str) -> list[str]:
    """Return a sentence on each known component of a role that is not available and works on a kind of device."""
    plugins = [each for each in KNOWN_PLUGINS if each.kind == role and (device_type == "cuda" or not each.gpu_memory)]
    return [how for plugin in plugins for name in plugin.names if (how := where_to_get(name, role))]


def _is_installed(plugin: KnownPlugin) -> bool:
    try:
        importlib.metadata.distribution(plugin.distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _is_disabled(plugin: KnownPlugin) -> bool:
    """Return whether the user disables the plugin, by the name of its distribution or its entry point."""
    entries = importlib.metadata.distribution(plugin.distribution).entry_points
    disabled = {name.strip() for name in os.environ.get("EX4D_DISABLE_PLUGINS", "").split(",")}
    return bool(disabled & {plugin.distribution, *(entry.name for entry in entries)})
