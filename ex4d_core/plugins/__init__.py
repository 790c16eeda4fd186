"""Discovery of plugins, and the components that they offer."""

from ex4d_core.plugins.discovery import Offer, Plugins, Problem, find_plugins

__all__ = ["Offer", "Plugins", "Problem", "find_plugins"]
