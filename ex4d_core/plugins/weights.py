"""The weights that a component needs, and what is missing of them on this machine."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import attrs

from ex4d_core.config.run_config import make_config, make_options, parse_settings, refuse_unknown
from ex4d_core.errors import InvalidInput
from ex4d_core.hub.download import Plan, look_up
from ex4d_core.hub.errors import ANOTHER_DISK
from ex4d_core.hub.local import huggingface_hub
from ex4d_core.plugins.offers import Offer
from ex4d_core.plugins.registry import Registry


@attrs.frozen(kw_only=True)
class WeightsPlan(Plan):
    """What a component needs, in the hub's own cache."""

    offer: Offer
    usage_terms: str
    """Terms that restrict what results of these weights may be used for, or ''."""

    @property
    def elsewhere(self) -> str:
        """What to do where the disk is full, besides making room."""
        return f"{ANOTHER_DISK}=/another/disk ex4d fetch {self.offer.name}"


def plan_for(name: str, settings: Iterable[str] = (), *, registry: Registry | None = None) -> WeightsPlan:
    """Ask the hub what a component needs, and look for it on this machine.

    Args:
        name: of a component of any role.
        settings: `--set` texts, such as `depth.unet=OWNER/NAME`.
        registry: where it is looked up; by default everything that is installed.

    Raises:
        ComponentNotFound: nothing of that name is installed.
        InvalidConfig: a setting is wrong, or several components have the name.
        InvalidInput: the component has no weights.
        InputNotFound: a name is neither a folder nor one on the hub.
        DownloadFailed: the hub cannot be reached, or does not give what is asked for.
        PluginFailed: the plugin is broken, or the package huggingface_hub is not installed.
    """
    offer = (registry or Registry()).find_anywhere(name)
    _check_has_weights(offer)  # before its options: one of them may have no default
    tree = parse_settings(settings)
    refuse_unknown(tree, [offer.role], "")
    given = getattr(make_config(tree), offer.role).options
    return make_plan(offer, make_options(offer.spec.options, given, offer.role))


def make_plan(offer: Offer, options: object) -> WeightsPlan:
    """Ask the hub what a component needs with these options, and look for it on this machine.

    Raises:
        InvalidInput: the component has no weights.
        InputNotFound: a name is neither a folder nor one on the hub.
        DownloadFailed: the hub cannot be reached, or does not give what is asked for.
        PluginFailed: the package huggingface_hub is not installed.
    """
    _check_has_weights(offer)
    cache = Path(huggingface_hub().constants.HF_HUB_CACHE)
    plan = look_up(offer.weights(options), cache)
    return WeightsPlan(
        **attrs.asdict(plan, recurse=False), offer=offer, usage_terms=offer.spec.usage_terms_for(options)
    )


def _check_has_weights(offer: Offer) -> None:
    if not offer.spec.weights:
        raise InvalidInput(f"the {offer.role} {offer.name!r} has no weights, so there is nothing to download")
