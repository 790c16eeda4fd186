"""Model weights: local folders, the Hugging Face cache and downloads."""

from ex4d_core.hub.local import HubFiles, cached, check_name, fetch_command, place, shards

__all__ = ["HubFiles", "cached", "check_name", "fetch_command", "place", "shards"]
