"""Select the component of each role, check its options, and load it once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from ex4d_core.cameras.language import CamError, MoveSpec, UnknownMove, parse_path, weights_of
from ex4d_core.config.run_config import (
    SOURCE_CAMERA_WORDS,
    ComponentConfig,
    GuidanceOptions,
    RunConfig,
    Tree,
    merge,
    refuse_unknown,
)
from ex4d_core.errors import ComponentCrashed, ComponentNotFound, Ex4dError, InvalidConfig, PluginFailed
from ex4d_core.hub.local import find_in_cache, is_offline
from ex4d_core.options import changed_paths, with_current_names
from ex4d_core.pipeline.ahead import Loading
from ex4d_core.pipeline.chosen import Chosen, ChosenPath, options_of
from ex4d_core.pipeline.devices import device_of
from ex4d_core.pipeline.downloads import Consent, download_weights, is_offered
from ex4d_core.pipeline.own_components import NoOptions, offer_of
from ex4d_core.plugins.offers import Offer
from ex4d_core.plugins.registry import Choice, Registry
from ex4d_core.progress import Reporter
from ex4d_core.roles import ROLES, DepthEstimator, DiffusionBackbone, MeshBuilder, Renderer, TrajectoryGenerator

if TYPE_CHECKING:  # torch takes seconds to import
    import torch

    from ex4d_core.pipeline.estimator_process import EstimatorProcess


class Components:
    """The components of a session: selected once, loaded on first use, and reused."""

    def __init__(
        self,
        config: RunConfig,
        *,
        registry: Registry,
        reporter: Reporter,
        consent: Consent | None = None,
        objects: Mapping[str, Any] | None = None,
    ) -> None:
        """Set the configuration; nothing is selected yet.

        Args:
            config: component of each role, and its options.
            registry: the installed components.
            reporter: receives selections and terms of use.
            consent: asks the user before a download; if None, nothing is downloaded unless the configuration says so.
            objects: by role, objects that replace components of the registry.
        """
        self.config = config
        self.registry = registry
        self.reporter = reporter
        self._consent = consent
        self._device_type: str | None = None
        self._offered: set[str] = set()
        self._loaded = dict(objects or {})
        self._own = {role: Chosen(offer=offer_of(role, own), options=NoOptions()) for role, own in self._loaded.items()}
        self._choices: dict[str, Choice] = {}
        self._loading = Loading()
        self.estimator_process: EstimatorProcess | None = None  # see `start_estimator`

    @cached_property
    def device(self) -> torch.device:
        """The device of the components.

        Raises:
            InvalidConfig: the device is not available.
        """
        return device_of(self.config.device)

    @property
    def device_type(self) -> str:
        """Type of the device: cpu, cuda or mps."""
        return self._device_type or self.device.type

    @property
    def device_name(self) -> str:
        """Type and, if the user selected one, number of the device."""
        return self.device_type if self.config.device == "auto" else self.config.device

    def choose(self, role: str) -> Chosen:
        """Return the component of a role (except `trajectory`) and its options.

        Raises:
            ComponentNotFound: it is not installed, or none can be selected automatically.
            InvalidConfig: an option is unknown or invalid.
        """
        if role in self._own:
            return self._own[role]
        given: ComponentConfig = getattr(self.config, role)
        if given.name != "auto":
            offer = self.registry.find(role, given.name)
            if offer.spec.offer_download and self.lacks_weights(offer):
                self._offer_download(offer)
            return self._refuse_unfree(Chosen(offer=offer, options=self._options(role, offer, given.options)))
        choice = self._best(role)
        try:
            return Chosen(offer=choice.offer, options=self._options(role, choice.offer, given.options))
        except InvalidConfig as error:
            owners = self.registry.names_with_option(role, error.option)
            owners = [] if choice.offer.name in owners else owners  # then it has the option, and the value is wrong
            why = [f"it was selected because {' and '.join(choice.rejected)}"] * bool(choice.rejected)
            names = " and ".join(owners)
            hint = [f"{error.option} is an option of {names}, which --{role} NAME selects"] * bool(owners)
            raise InvalidConfig("; ".join([str(error), *hint, *why]), option=error.option) from error

    @property
    def own_roles(self) -> frozenset[str]:
        """Roles whose component is an object of the caller."""
        return frozenset(self._own)

    def share(self, other: Components) -> None:
        """Take over the loaded components of another session whose options are the same, and all objects of the caller.

        Raises:
            Ex4dError: a component cannot be selected.
        """
        self._own, self._offered = other._own, other._offered
        for role, component in other._loaded.items():
            if role in self._own or (self.device == other.device and self.choose(role) == other.choose(role)):
                self._loaded[role] = component

    def recorded_config(self) -> RunConfig:
        """Return the configuration with the names of components that were selected because of weights.

        Otherwise the same configuration would select others after a download.

        Raises:
            ComponentNotFound: no depth estimator can be selected.
        """
        self.choose("depth")
        changed = {}
        for role, choice in self._choices.items():
            if choice.unfetched or choice.offer.spec.weights:
                changed[role] = attrs.evolve(getattr(self.config, role), name=choice.offer.name)
        return attrs.evolve(self.config, **changed)

    def choose_trajectory(self, cam: str) -> ChosenPath:
        """Return the moves of a `--cam` text and their options.

        Raises:
            CamError: the text or an option is invalid; the message marks the place.
            UnknownMove: a move is unknown.
            PluginFailed: the plugin of a move is disabled.
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
            given = changed_paths(offer.spec.options, given, partial(os.path.join, self.config.cam_folder))
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

    @cached_property
    def guidance_options(self) -> GuidanceOptions:
        """The options of the guidance, with `auto` replaced."""
        given = self.config.guidance
        if given.background != "auto":
            return given
        return attrs.evolve(given, background=self._expected("guidance").get("background", "static"))

    def _expected(self, section: str) -> Mapping[str, Any]:
        """Return the options of a section for which the backbone was made."""
        if "backbone" in self._own:
            return {}
        name = self.config.backbone.name
        try:  # without its options: wrong ones do not change what it expects
            offer = self._best("backbone").offer if name == "auto" else self.registry.find("backbone", name)
            return offer.spec.expects.get(section, {})
        except Ex4dError:  # raised where the backbone is used
            return {}

    def check(self, *roles: str) -> None:
        """Check components and options of roles, and camera paths, before a run.

        Raises:
            ComponentNotFound: a component is not installed.
            PluginFailed: a requirement of a component is not installed, or a path cannot be created.
            InvalidConfig: an option or path is invalid, or the device is not available.
            InputNotFound: a camera file does not exist.
            InvalidInput: a camera file cannot be read.
        """
        _ = self.device
        for cam in self.config.cam if any(ROLES[role].in_cam for role in roles) else ():
            try:
                self.trajectory(cam)
            except ComponentCrashed as error:
                raise ComponentCrashed(f"--cam {cam}: {error}") from error
        for role in reversed(roles):  # depth last: no download before the errors of the others
            if not ROLES[role].in_cam:
                self.choose(role).offer.check_requirements()

    def depth_estimator(self) -> DepthEstimator:
        """Load and return the depth estimator."""
        estimator: DepthEstimator = self._load("depth")
        return estimator

    def mesh_builder(self) -> MeshBuilder:
        """Load and return the mesh builder."""
        builder: MeshBuilder = self._load("mesh")
        return builder

    def renderer(self) -> Renderer:
        """Load and return the renderer."""
        renderer: Renderer = self._load("renderer")
        return renderer

    def backbone(self) -> DiffusionBackbone:
        """Load and return the diffusion backbone."""
        backbone: DiffusionBackbone = self._load("backbone")
        return backbone

    def trajectory(self, cam: str) -> TrajectoryGenerator:
        """Return the generator for a `--cam` text."""
        from ex4d_core.cameras.generators import JoinedPath, Move, Segment

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
        """Return the options of the table `trajectory` that this move has."""
        given = self.options_of_paths()
        own = {field.name for field in attrs.fields(offer.spec.options)}
        if self.config.path.source_cameras not in (None, *SOURCE_CAMERA_WORDS):
            given = {"source_cameras": self.config.path.source_cameras, **given}
        return {key: value for key, value in given.items() if key in own}

    def options_of_paths(self) -> Tree:
        """Return the options of the table `trajectory` under their current names; refuse options that no move has."""
        given = self.config.trajectory.options
        known = set()
        for each in self.registry.offers("trajectory"):
            given = with_current_names(each.spec.options, given)
            known |= {field.name for field in attrs.fields(each.spec.options)}
        refuse_unknown(given, sorted(known), "trajectory")
        return given

    def _best(self, role: str) -> Choice:
        """Return the automatic selection for a role, which is made once in a session."""
        if role not in self._choices:
            choice = self.choose_automatically(role)
            if any(map(self._offer_download, choice.unfetched)):
                choice = self.choose_automatically(role)
            self._choices[role] = choice
        return self._choices[role]

    def choose_automatically(self, role: str) -> Choice:
        """Return what `auto` selects for a role now, with the reasons against others; nothing is downloaded."""
        return self.registry.choose(
            role, self.device_type, lacks_weights=self.lacks_weights, restricts_use=self._restricts_use
        )

    def _restricts_use(self, offer: Offer) -> bool:
        """Return whether only free components are wanted, and the license of this one restricts the use of results."""
        try:
            return self.config.free and bool(offer.spec.usage_terms_for(self._given_options(offer)))
        except InvalidConfig:  # raised on use
            return bool(offer.spec.usage_terms)

    def _refuse_unfree(self, chosen: Chosen) -> Chosen:
        """Return a component that the user named, unless only free ones are wanted and it is not one."""
        terms = chosen.offer.spec.usage_terms_for(chosen.options)
        if self.config.free and terms:
            raise InvalidConfig(
                f"{chosen.offer.role} {chosen.offer.name} restricts the use of results ({terms}); select another "
                "component or weights, or omit --free"
            )
        return chosen

    def _offer_download(self, offer: Offer) -> bool:
        """Download weights that a component offers if the user agrees, asked once for a role; return whether it did."""
        options = self._given_options(offer)
        if offer.role in self._offered or self.config.download == "no" or not is_offered(offer, options):
            return False
        self._offered.add(offer.role)
        if self.config.download == "ask" and (self._consent is None or is_offline() or not self._consent(offer)):
            return False
        return download_weights(offer, options, self.reporter)

    def _given_options(self, offer: Offer) -> Any:
        return self._options(offer.role, offer, getattr(self.config, offer.role).options)

    def lacks_weights(self, offer: Offer) -> bool:
        """Return whether weights of a component are not on this machine."""
        try:
            return not all(find_in_cache(files) for files in offer.weights(self._given_options(offer)))
        except InvalidConfig:  # raised on use; an invalid option does not change the selection
            return False
        except PluginFailed:  # huggingface_hub is not installed
            return True

    def load_ahead(self, *roles: str) -> None:
        """Start to load components in other threads, see `Loading`; one that fails is loaded again when it is used.

        Raises:
            ComponentNotFound: one is not installed, or none can be selected automatically.
            InvalidConfig: an option is unknown or invalid.
        """
        for role in roles:
            if role in self._loaded:
                continue
            chosen = self.choose(role)
            make = partial(self.registry.make, chosen.offer, chosen.options, device=self.device)
            if role == "depth" and (process := self.estimator_process) and process.take_over(chosen, make):
                self._loading.put(role, process)
            elif role == "depth":
                self._loading.import_now(partial(self.registry.load, chosen.offer))
            elif chosen.offer.spec.weights:
                self._loading.start(role, make, partial(self._prepared, role, ahead=True))
            else:
                self._loading.import_later(role, partial(self.registry.load, chosen.offer))
        if (process := self.estimator_process) and "depth" not in roles:  # the run folder has its result
            process.close()

    def _prepared(self, role: str, component: Any, *, ahead: bool) -> Any:
        """Load the weights of a component, if it can be asked to; see `ex4d_core.roles`."""
        prepare = getattr(component, "prepare", None)
        if prepare is not None:
            prepare(prompt=self.config.prompt, ahead=ahead) if role == "backbone" else prepare()
        return component

    def _load(self, role: str) -> Any:
        if role not in self._loaded:
            chosen = self.choose(role)
            if getattr(self.config, role).name == "auto" or chosen.offer.spec.preview:
                why = "".join(f"; {reason}" for reason in self._reasons(role, chosen.offer))
                self.reporter.note(f"{role}: {chosen.offer.name} ({chosen.offer.spec.summary}), on {self.device}{why}")
            if usage_terms := chosen.offer.spec.usage_terms_for(chosen.options):
                self.reporter.note(f"{role} {chosen.offer.name}: {usage_terms}")
            made = self._loading.take(role) or self.registry.make(chosen.offer, chosen.options, device=self.device)
            self._loaded[role] = self._prepared(role, made, ahead=False)
            self._loading.continue_now()
        return self._loaded[role]

    def _reasons(self, role: str, offer: Offer) -> tuple[str, ...]:
        """Return why a component was selected, or, for a preview that was named, what others lack."""
        here = ("its weights are on this machine",) if offer.spec.weights else ()
        try:
            is_named = getattr(self.config, role).name != "auto"
            return (*here, *(self.choose_automatically(role) if is_named else self._best(role)).rejected)
        except ComponentNotFound:  # a preview that is never selected automatically
            return ()

    def _options(self, role: str, offer: Offer, given: Mapping[str, Any], *, prefix: str | None = None) -> Any:
        """Return the options of a component: those of the preset, replaced by those of the user."""
        expected = self._expected(role) if role == "mesh" else {}
        return options_of(offer, given, compat=self.config.compat, expected=expected, prefix=prefix)
