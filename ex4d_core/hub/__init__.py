"""Model weights: local folders, the Hugging Face cache and downloads."""

from ex4d_core.hub.identity import file_identities, weights_hash
from ex4d_core.hub.local import HubRepo, WebFile, check_repo_id, fetch_command, find_in_cache, resolve_weights, shards

__all__ = [
    "HubRepo",
    "WebFile",
    "check_repo_id",
    "fetch_command",
    "file_identities",
    "find_in_cache",
    "resolve_weights",
    "shards",
    "weights_hash",
]
