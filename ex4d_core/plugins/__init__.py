"""Discovery of plugins, and the components that they offer."""

from ex4d_core.plugins.discovery import Plugins, Problem, find_plugins
from ex4d_core.plugins.offers import Offer

__all__ = ["Offer", "Plugins", "Problem", "find_plugins"]
