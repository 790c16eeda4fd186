"""Discovery of plugins and lookup of their components."""

from ex4d_core.plugins.discovery import Plugins, Problem, find_plugins
from ex4d_core.plugins.offers import Offer

__all__ = ["Offer", "Plugins", "Problem", "find_plugins"]
