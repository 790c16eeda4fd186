"""Weights of components: required, cached and missing files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import attrs

from ex4d_core.config.run_config import make_config, make_options, parse_settings, refuse_unknown
from ex4d_core.errors import InvalidConfig, InvalidInput
from ex4d_core.hub.download import Plan, look_up
from ex4d_core.hub.local import HubRepo, huggingface_hub
from ex4d_core.plugins.offers import CommandOffer, Offer, commands_by_name
from ex4d_core.plugins.registry import Registry
from ex4d_core.shell import WINDOWS, with_variable


@attrs.frozen(kw_only=True)
class WeightsPlan(Plan):
    """The weights of a component or command in the cache of the hub."""

    offer: Offer | CommandOffer
    usage_terms: str
    """Terms that restrict the use of results of these weights, or ''."""

    @property
    def elsewhere(self) -> str:
        """The command that downloads to another disk."""
        command = with_variable(
            "HF_HOME", "D:/another/folder" if WINDOWS else "/another/disk", f"ex4d fetch {self.offer.name}"
        )
        return f"put the hub's cache on another disk: {command}"


def plan_for(name: str, settings: Iterable[str] = (), *, registry: Registry | None = None) -> WeightsPlan:
    """Compare the weights that a component or command requires with the cache.

    Args:
        name: name of a component of any role, or of a command.
        settings: `--set` texts, such as `depth.unet=OWNER/NAME`.
        registry: the components; by default all that are installed.

    Raises:
        ComponentNotFound: no installed component has that name.
        InvalidConfig: a setting is invalid, or several components have the name.
        InvalidInput: the component has no weights.
        InputNotFound: a repository is neither a local folder nor on the hub.
        DownloadFailed: the hub cannot be reached, or its answer is invalid.
        PluginFailed: the plugin is disabled, or the package huggingface_hub is not installed.
    """
    registry = registry or Registry()
    command = commands_by_name(registry.plugins.commands).get(name)
    if command is not None and all(offer.name != name for offer in registry.plugins.offers):
        if list(settings):
            raise InvalidConfig(f"the weights of the {command.title} do not depend on options; remove --set")
        _check_has_weights(command)
        return _plan(command, command.default_weights())
    offer = registry.find_anywhere(name)
    _check_has_weights(offer)  # before its options: one of them may have no default
    tree = parse_settings(settings)
    refuse_unknown(tree, [offer.role], "")
    given = getattr(make_config(tree), offer.role).options
    return make_plan(offer, make_options(offer.spec.options, given, offer.role))


def make_plan(offer: Offer, options: object) -> WeightsPlan:
    """Compare the weights that a component requires with these options with the cache.

    Raises:
        InvalidInput: the component has no weights.
        InputNotFound: a repository is neither a local folder nor on the hub.
        DownloadFailed: the hub cannot be reached, or its answer is invalid.
        PluginFailed: the package huggingface_hub is not installed.
    """
    _check_has_weights(offer)
    return _plan(offer, offer.weights(options), usage_terms=offer.spec.usage_terms_for(options))


def _plan(offer: Offer | CommandOffer, needed: Iterable[HubRepo], *, usage_terms: str = "") -> WeightsPlan:
    plan = look_up(needed, Path(huggingface_hub().constants.HF_HUB_CACHE))
    return WeightsPlan(**attrs.asdict(plan, recurse=False), offer=offer, usage_terms=usage_terms)


def _check_has_weights(offer: Offer | CommandOffer) -> None:
    if not offer.spec.weights:
        raise InvalidInput(f"the {offer.title} has no weights to download")
