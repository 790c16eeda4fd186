"""Choose the component of each role, check its options, and load it once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs
import torch

from ex4d_core.cameras.generators import JoinedPath, Move, Segment
from ex4d_core.cameras.language import FILE, CamError, MoveSpec, UnknownMove, parse_path, weights_of
from ex4d_core.config.presets import preset_options
from ex4d_core.config.run_config import (
    ComponentConfig,
    RunConfig,
    Tree,
    make_options,
    merge,
    refuse_unknown,
)
from ex4d_core.errors import ComponentNotFound, Ex4dError, InvalidConfig, PluginFailed, unexpected
from ex4d_core.hub.local import find_in_cache
from ex4d_core.options import with_current_names
from ex4d_core.plugins.offers import Offer
from ex4d_core.plugins.registry import Choice, Registry
from ex4d_core.progress import Reporter
from ex4d_core.roles import ROLES, DepthEstimator, DiffusionBackbone, MeshBuilder, Renderer, TrajectoryGenerator


@attrs.frozen(kw_only=True)
class Chosen:
    """A component that a run will use, and its options, checked."""

    offer: Offer
    options: Any

    def identity(self) -> Tree:
        """Return what decides its results, as plain values."""
        facts = {
            "name": self.offer.name,
            "distribution": self.offer.source.distribution,
            "version": self.offer.source.version,
            "options": attrs.asdict(self.options, filter=lambda field, _: field.metadata.get("affects_output", True)),
        }
        # Options that name a file say what is in it: an edited file makes another artifact, a renamed one does not.
        fingerprint = getattr(self.options, "fingerprint", None)
        return facts if fingerprint is None else {**facts, "fingerprint": fingerprint()}


@attrs.frozen(kw_only=True)
class ChosenPath:
    """The moves that a run will use for one `--cam` text."""

    steps: tuple[tuple[tuple[Chosen, str], ...], ...]
    """In their order; each is what happens at the same time, with the ease of each."""
    weights: tuple[float, ...]
    """Of the path that each step takes."""

    @property
    def is_given(self) -> bool:
        """Whether a file says where the camera goes."""
        return any(chosen.offer.builtin and chosen.offer.name == FILE for step in self.steps for chosen, _ in step)

    @property
    def only(self) -> Chosen | None:
        """The move, where there is nothing but one."""
        ((chosen, ease), *more), *rest = self.steps
        return None if more or rest or ease != "linear" else chosen

    def identity(self) -> Tree:
        """Return what decides the path, as plain values."""
        if self.only is not None:
            return self.only.identity()
        steps = [[{**chosen.identity(), "ease": ease} for chosen, ease in step] for step in self.steps]
        return {"steps": steps, "shares": list(self.weights)}


class Components:
    """The components of a session: chosen once, loaded on first use, and kept."""

    def __init__(self, config: RunConfig, *, registry: Registry, reporter: Reporter) -> None:
        """Choose nothing yet.

        Args:
            config: names the component of each role and its options.
            registry: where components are looked up.
            reporter: told of choices, and of the terms of use of weights.
        """
        self.config = config
        self.registry = registry
        self.reporter = reporter
        self._loaded: dict[str, Any] = {}
        self._choices: dict[str, Choice] = {}

    @cached_property
    def device(self) -> torch.device:
        """Where components compute.

        Raises:
            InvalidConfig: the device does not exist here.
        """
        wanted = self.config.device
        if wanted == "auto":
            wanted = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        try:
            device = torch.device(wanted)
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            raise InvalidConfig(f"there is no device {wanted!r} here; give auto, cpu, cuda or mps") from error
        return device

    def choose(self, role: str) -> Chosen:
        """Return the component for a role (all but `trajectory`) and its options.

        Raises:
            ComponentNotFound: it is not installed, or none can be chosen on its own.
            InvalidConfig: an option is unknown or has a value that it cannot take.
        """
        given: ComponentConfig = getattr(self.config, role)
        if given.name != "auto":
            offer = self.registry.find(role, given.name)
            return Chosen(offer=offer, options=self._options(role, offer, given.options))
        choice = self._best(role)
        try:
            return Chosen(offer=choice.offer, options=self._options(role, choice.offer, given.options))
        except InvalidConfig as error:
            if not choice.rejected:
                raise
            raise InvalidConfig(f"{error}; it was chosen because {' and '.join(choice.rejected)}") from error

    def choose_trajectory(self, cam: str) -> ChosenPath:
        """Return the moves for a `--cam` text and their options.

        Raises:
            CamError: the text or an option of it is wrong; the message points there.
            UnknownMove: no plugin offers a move.
            PluginFailed: the plugin that does is broken.
        """
        steps = parse_path(cam)
        weights = weights_of(steps, cam)
        chosen = tuple(tuple((self._choose_move(piece, cam), piece.ease) for piece in step) for step in steps)
        return ChosenPath(steps=chosen, weights=tuple(weights))

    def _choose_move(self, move: MoveSpec, text: str) -> Chosen:
        end_of_name = min(move.start + len(move.name), move.stop)
        try:
            offer = self.registry.find("trajectory", move.name, angles=len(move.angles))
        except ComponentNotFound as error:
            hint = f"; the folder is ./{move.name}" if Path(move.name).is_dir() else ""
            raise UnknownMove(f"{error}{hint}", text, move.start, end_of_name) from error
        except InvalidConfig as error:
            raise CamError(str(error), text, move.start, end_of_name) from error
        move = move.with_angles(() if move.name in offer.spec.aliases else offer.spec.angle_options)
        shared = self._shared_by_paths(offer)
        try:
            given = merge(offer.alias_options(move.name), with_current_names(offer.spec.options, move.options))
            places = with_current_names(offer.spec.options, move.places)
        except InvalidConfig as error:
            raise CamError(str(error), text, *move.places[error.option]) from error
        for field in attrs.fields(offer.spec.options):
            if field.default is attrs.NOTHING and field.name not in given:
                example = f"{move.name}:{field.name}=..."
                raise CamError(f"{move.name} needs {field.name}, as in {example}", text, move.start, move.stop)
        try:
            return Chosen(offer=offer, options=self._options("trajectory", offer, merge(shared, given), prefix=""))
        except InvalidConfig as error:
            if error.option in shared and error.option not in given:
                raise InvalidConfig(f"trajectory.{error}", option=error.option) from error
            span = places.get(error.option, (move.start, move.stop))
            raise CamError(str(error), text, *span) from error

    def check(self, *roles: str) -> None:
        """Look up components, and make paths where a trajectory is among the roles, so that a fault is said at once.

        Raises:
            ComponentNotFound: something is not installed.
            PluginFailed: something that a component needs is not installed, or a path cannot be made.
            InvalidConfig: an option or path is wrong, or the device does not exist.
            InputNotFound: there is no such file of a path.
            InvalidInput: a file of a path cannot be read.
        """
        _ = self.device
        for role in roles:
            if not ROLES[role].in_cam:
                self.choose(role).offer.check_requirements()
        for cam in self.config.cam if any(ROLES[role].in_cam for role in roles) else ():
            try:
                self.trajectory(cam)
            except Ex4dError:
                raise
            except Exception as error:
                raise PluginFailed(f"--cam {cam}: {unexpected(error)}") from error

    def depth_estimator(self) -> DepthEstimator:
        """Return the depth estimator, loaded."""
        estimator: DepthEstimator = self._load("depth")
        return estimator

    def mesh_builder(self) -> MeshBuilder:
        """Return the mesh builder, loaded."""
        builder: MeshBuilder = self._load("mesh")
        return builder

    def renderer(self) -> Renderer:
        """Return the renderer, loaded."""
        renderer: Renderer = self._load("renderer")
        return renderer

    def backbone(self) -> DiffusionBackbone:
        """Return the diffusion backbone, loaded."""
        backbone: DiffusionBackbone = self._load("backbone")
        return backbone

    def trajectory(self, cam: str) -> TrajectoryGenerator:
        """Return the generator for a `--cam` text."""
        path = self.choose_trajectory(cam)
        if path.only is not None:
            return self._move(path.only)
        return JoinedPath(
            [
                Segment(
                    moves=tuple(Move(generator=self._move(chosen), ease=ease) for chosen, ease in step),
                    weight=weight,
                )
                for step, weight in zip(path.steps, path.weights, strict=True)
            ]
        )

    def _move(self, chosen: Chosen) -> TrajectoryGenerator:
        generator: TrajectoryGenerator = self.registry.make(chosen.offer, chosen.options, device=self.device)
        return generator

    def _shared_by_paths(self, offer: Offer) -> Tree:
        """Return the options for every path that this one has; refuse what no path has."""
        given = self.config.trajectory.options
        known = set()
        for each in self.registry.offers("trajectory"):
            given = with_current_names(each.spec.options, given)
            known |= {field.name for field in attrs.fields(each.spec.options)}
        refuse_unknown(given, sorted(known), "trajectory")
        own = {field.name for field in attrs.fields(offer.spec.options)}
        return {key: value for key, value in given.items() if key in own}

    def _best(self, role: str) -> Choice:
        """Return what `auto` means for a role, the same all through the session."""
        if role not in self._choices:
            self._choices[role] = self.registry.choose(role, self.device.type, lacks_weights=self._lacks_weights)
        return self._choices[role]

    def _lacks_weights(self, offer: Offer) -> bool:
        given: ComponentConfig = getattr(self.config, offer.role)
        try:
            return not all(
                find_in_cache(files) for files in offer.weights(self._options(offer.role, offer, given.options))
            )
        except InvalidConfig:  # raised on use: a slip in an option does not make another component the better one
            return False
        except PluginFailed:  # without the hub's client there is nothing of the hub's
            return True

    def _load(self, role: str) -> Any:
        if role not in self._loaded:
            chosen = self.choose(role)
            if getattr(self.config, role).name == "auto":
                why = "".join(f"; {reason}" for reason in self._best(role).rejected)
                self.reporter.note(f"{role}: {chosen.offer.name} ({chosen.offer.spec.summary}), on {self.device}{why}")
            if usage_terms := chosen.offer.spec.usage_terms_for(chosen.options):
                self.reporter.note(f"{role} {chosen.offer.name}: {usage_terms}")
            self._loaded[role] = self.registry.make(chosen.offer, chosen.options, device=self.device)
        return self._loaded[role]

    def _options(self, role: str, offer: Offer, given: Mapping[str, Any], *, prefix: str | None = None) -> Any:
        """Return the options of a component: those of the preset, replaced by those of the user."""
        cls = offer.spec.options
        given, known = with_current_names(cls, given), [field.name for field in attrs.fields(cls)]
        refuse_unknown(given, known, role, component=offer.name)
        values = merge(preset_options(self.config.compat, offer.spec), given)
        return make_options(cls, values, role if prefix is None else prefix)
