"""Sweeps of `ex4d run` and `recon`: `--set` texts with several values, such as `mesh.min_angle=1,2.5,8`.

A comma separates values only if the option takes a single number, a switch or a word of a fixed set, and in the name of
a component. In all other options, such as texts, paths, pixels and lists, it is a part of the value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs
import typer

from ex4d_core.cli.shared import make_session
from ex4d_core.config.run_config import ComponentConfig, RunConfig, write_config
from ex4d_core.errors import InvalidConfig
from ex4d_core.roles import ROLES
from ex4d_core.terminal import say, say_error, show

if TYPE_CHECKING:  # heavy imports
    from ex4d_core.plugins.registry import Registry
    from ex4d_core.runs.export import Goal
    from ex4d_core.runs.sweep import Variant
    from ex4d_core.runs.sweep_table import Sweep


def variants(settings: Sequence[str], configuration: Callable[[Sequence[str]], RunConfig]) -> list[Variant]:
    """Return the combinations of the values in `--set` texts, each with its configuration.

    Raises:
        InvalidConfig: a value is invalid, or two combinations are equal, as if a flag sets the option too.
    """
    from ex4d_core.runs.sweep import Variant

    found = [Variant(values=values, config=configuration(texts)) for values, texts in expanded(settings)]
    titles: dict[str, str] = {}
    for variant in found:
        title = " ".join(f"{key}={value}" for key, value in variant.values.items())
        same = titles.setdefault(write_config(variant.config), title)
        if same != title:
            raise InvalidConfig(
                f"{same} and {title} are the same run; flags override --set, so leave out the flag of the option"
            )
    return found


def sweep_clips(
    variants: Sequence[Variant],
    clips: Sequence[Path],
    parent: Path,
    folders: Callable[[Path], Sequence[Path]],
    goal: Goal,
    quiet: bool,
    json_: bool,
    **meshes: Any,
) -> None:
    """Run clips with each combination and print the table; exit with 2 if all runs failed, with 1 if some did.

    Args:
        variants: the combinations.
        clips: videos or folders of images.
        parent: parent of the folders of the combinations.
        folders: returns the run folders of the clips below the folder of a combination.
        goal: the last stage.
        quiet: print only warnings and the paths of the tables.
        json_: print JSON.
        meshes: as for `run_sweep`.
    """
    from ex4d_core.plugins.stdout_guard import redirect_stdout_to_stderr
    from ex4d_core.runs.sweep import run_sweep, targets

    session = make_session(variants[0].config, quiet or json_, clips=clips)
    runs = targets(clips, variants[0].config.cam, folders)
    with redirect_stdout_to_stderr():
        sweep = run_sweep(session, variants, runs, parent, goal=goal, **meshes)
    _finish(sweep, quiet, json_)


def _finish(sweep: Sweep, quiet: bool, json_: bool) -> None:
    from ex4d_core.cli.console import sweep_json, sweep_summary

    failed = [row for row in sweep.rows if row.outcome.error is not None]
    if json_:
        say(sweep_json(sweep))
    elif quiet:
        say("\n".join(str(path) for path in sweep.files.values()))
    else:
        show(sweep_summary(sweep))
    for row in failed if json_ or quiet else ():
        say_error(f"{row.title}: {row.outcome.error}")
    if failed:
        raise typer.Exit(2 if len(failed) == len(sweep.rows) else 1)


def expanded(settings: Sequence[str]) -> list[tuple[dict[str, str], list[str]]]:
    """Return each combination of the values in `--set` texts, and the texts with it; one without values if none sweeps.

    Raises:
        InvalidConfig: a value is empty or given twice.
    """
    from ex4d_core.plugins.registry import Registry
    from ex4d_core.runs.sweep import combinations

    swept: dict[str, list[str]] = {}
    plain: list[str] = []
    registry = Registry() if any("," in text for text in settings) else None
    for text in settings:
        key, _, value = text.partition("=")
        if registry is not None and "," in value and takes_one_value(key.strip(), registry):
            swept[key.strip()] = [each.strip() for each in value.split(",")]
            if "" in swept[key.strip()]:
                raise InvalidConfig(f"--set {text!r} has an empty value; separate values by single commas")
        else:
            swept.pop(key.strip(), None)  # a later text replaces an earlier one
            plain.append(text)
    return [(values, [*plain, *(f"{key}={value}" for key, value in values.items())]) for values in combinations(swept)]


def takes_one_value(key: str, registry: Registry) -> bool:
    """Return whether SECTION.OPTION is a number, a switch, a word of a fixed set, or the name of a component."""
    section, _, option = key.partition(".")
    if section not in ROLES:
        kind: Any = get_type_hints(RunConfig).get(section)
        classes = [kind] if attrs.has(kind) and kind is not ComponentConfig else []
    elif option == "name" and not ROLES[section].in_cam:
        return True
    else:
        classes = [offer.spec.options for offer in registry.offers(section)]
    kinds = [kind for cls in classes for kind in _kinds(cls, option)]
    return bool(kinds) and all(map(_is_scalar, kinds))


def _kinds(cls: type, option: str) -> Iterable[Any]:
    """Yield the type of an option of a class, if it has one of that name or former name."""
    fields = attrs.fields(cls)
    names = [field.name for field in fields if option in (field.name, field.metadata.get("former"))]
    return (get_type_hints(cls)[name] for name in names)


def _is_scalar(kind: Any) -> bool:
    parts = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    return all(part in (bool, int, float, NoneType) or get_origin(part) is Literal for part in parts)
