"""The configuration of a run."""

from ex4d_core.config.run_config import (
    RunConfig,
    Tree,
    config_tree,
    make_config,
    make_options,
    merge,
    parse_settings,
    read_config,
    refuse_unknown,
    write_config,
)

__all__ = [
    "RunConfig",
    "Tree",
    "config_tree",
    "make_config",
    "make_options",
    "merge",
    "parse_settings",
    "read_config",
    "refuse_unknown",
    "write_config",
]
