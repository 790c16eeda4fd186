"""The configuration of a run: one frozen value, parsed from flags, `--set` and TOML, and written back as TOML."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import attrs
import cattrs
import tomli_w

from ex4d_core.bounds import shown
from ex4d_core.config.presets import preset
from ex4d_core.config.strict_values import strict_converter
from ex4d_core.errors import InvalidConfig, InvalidInput, nearest
from ex4d_core.field_help import with_fields
from ex4d_core.geometry.refine_options import RefineOptions
from ex4d_core.options import option, with_current_names
from ex4d_core.reading import parse_toml, read_toml
from ex4d_core.roles import ROLES

Options = TypeVar("Options")
Tree = dict[str, Any]
"""Nested tables, as TOML has them."""

MOST_REASONS = 4
"""Maximum number of reasons in one error."""

LONGEST_KEY = 80
"""Maximum number of characters of a key in an error."""

_CONVERTER = strict_converter()

SECTIONS = ("video", "lens", "path", "refine", "guidance", "masks", *ROLES)
"""The tables of a configuration; those of a role name its component and hold the options."""


@attrs.frozen(kw_only=True)
class VideoOptions:
    """Selection of frames, working size and frame rate."""

    start: int = option(0, help="First frame, counted from 0.", at_least=0)
    stride: int = option(1, help="Use every n-th frame.", at_least=1)
    num_frames: int | None = option(None, help="Maximum number of frames; all by default.", at_least=1)
    size: str | None = option(
        None, help="Working size WIDTHxHEIGHT, or 'ex4d' for the size rule of EX-4D; the size of the clip by default.",
        pixel="x",
    )  # fmt: skip
    fit: Literal["crop", "pad", "stretch"] = option("crop", help="How to fit a clip with a different aspect ratio.")
    fps: float | None = option(
        None, help="Frame rate of the output; that of the clip by default.", unit="Hz",
        validator=attrs.validators.optional(attrs.validators.and_(attrs.validators.ge(0.1), attrs.validators.le(1000))),
    )  # fmt: skip


@attrs.frozen(kw_only=True)
class LensOptions:
    """Intrinsics of the source camera, which replace those of the depth estimator."""

    fov: float | None = option(None, help="Field of view of the clip along its longer side.", unit="degrees")
    focal_px: float | None = option(None, help="Focal length of the clip.", unit="pixels")
    intrinsics: str | None = option(
        None, help="File with fx, fy, cx, cy (JSON) or a 3x3 matrix (.npy, .npz, .txt).", path=True
    )
    of: Literal["input", "frame"] = option(
        "input", help="Image that the intrinsics describe: the clip as filmed, or the frame after fitting."
    )

    def __attrs_post_init__(self) -> None:
        given = [name for name in ("fov", "focal_px", "intrinsics") if getattr(self, name) is not None]
        if len(given) > 1:
            raise InvalidConfig(f"{given[0]} and {given[1]} both set the focal length; pass one of them")


SOURCE_CAMERA_WORDS = ("auto", "estimated", "still")
"""Values of `path.source_cameras` that are not files."""


def _changed_camera_file(text: str, change: Callable[[str], str]) -> str:
    """Return `FILE:option=...` with a function applied to the file; words stay as they are."""
    if text in SOURCE_CAMERA_WORDS:
        return text
    file, options = re.fullmatch(r"(.+?)((?::\w+=.*)?)", text, re.DOTALL).groups()  # type: ignore[union-attr]  # any text matches
    return change(file) + options


@attrs.frozen(kw_only=True)
class PathOptions:
    """Options of all camera paths."""

    frames: int | None = option(
        None,
        help="Number of frames of the path and the output; by default as many as the clip, or 49 along a photo.",
        at_least=1,
    )
    relative_to: Literal["auto", "source", "world"] = option(
        "auto",
        help="Reference frame of camera paths: the moving source camera, or the world; auto: source for moves, world "
        "for files.",
    )
    source_cameras: str | None = option(
        None,
        help="Poses of the source camera: 'estimated' with the depth, 'still', or a file with poses in units of the "
        "depth, with options as in --cam FILE. The default, 'auto', uses poses of a depth file, and estimated ones if "
        "they predict the frames better than a static camera.",
        path=_changed_camera_file,
    )


@attrs.frozen(kw_only=True)
class GuidanceOptions:
    """Options of the guidance besides those of mesh and renderer."""

    background: Literal["auto", "none", "static"] = option(
        "auto",
        help="Fill holes with the static background seen at other times: 'static', or 'none'; auto: 'static', unless "
        "the backbone was made for 'none'.",
    )
    dynamic_mask: str | None = option(
        None,
        help="Mask of what moves, for background=static: a video or a folder of gray images with one for each frame of "
        "the clip, white where something moves; by default found by optical flow.",
        path=True,
    )


@attrs.frozen(kw_only=True)
class ComponentConfig:
    """Name of a component, and its options, not yet checked: its plugin declares them."""

    name: str = "auto"
    options: Tree = attrs.field(factory=dict)


def _seed(instance: Any, attribute: Any, value: int) -> None:
    if not 0 <= value < 2**64:  # range of torch generators
        raise ValueError(f"seed must be from 0 to 2**64 - 1, not {value}")


@with_fields
@attrs.frozen(kw_only=True)
class RunConfig:
    """Everything that determines the results of a run."""

    clips: tuple[str, ...] = ()
    """Videos, folders and patterns to run if the command line has none."""
    compat: str | None = option(None, help="Reproduce another system: ex4d.")
    """Name of a preset, ex4d; options of the user take precedence."""
    device: str = option("auto", help="Device: auto, cpu, cuda, cuda:1 or mps.")
    seed: int = option(42, help="Seed of all random choices.", validator=_seed)
    free: bool = option(
        False,
        help="Use only components and weights whose licenses do not restrict the use of results; automatic selection "
        "skips others.",
        affects_output=False,
    )
    download: Literal["ask", "yes", "no"] = option(
        "ask",
        help="Small downloads of weights that automatic selection lacks: ask in a terminal, yes or no.",
        affects_output=False,
    )
    prompt: str = option("", help="Text that describes the video, for backbones that read it.")
    cam: tuple[str, ...] = option(
        ("30",),
        help="Camera path: an angle such as 30, a sweep -90..90, moves such as 'orbit:yaw=-75 then dolly', or a file; "
        "repeatable.",
        validator=attrs.validators.min_len(1),
    )
    cam_folder: str = option(
        "", help="Folder of relative camera files in `cam`; by default the current one.", affects_output=False
    )
    run_folder: str | None = option(None, help="Run folder that the configuration belongs to.", affects_output=False)
    video: VideoOptions = VideoOptions()
    lens: LensOptions = LensOptions()
    path: PathOptions = PathOptions()
    refine: RefineOptions = RefineOptions()
    guidance: GuidanceOptions = GuidanceOptions()
    masks: Tree = attrs.field(factory=dict)
    """Options of simulated masks, not yet checked; for `ex4d masks` and training."""
    depth: ComponentConfig = ComponentConfig()
    mesh: ComponentConfig = ComponentConfig()
    trajectory: ComponentConfig = ComponentConfig()
    """Options of all camera moves; their names are in `cam`."""
    renderer: ComponentConfig = ComponentConfig()
    backbone: ComponentConfig = ComponentConfig()


def read_config(path: Path) -> Tree:
    """Return the tables of a TOML file.

    Raises:
        InputNotFound: the file does not exist.
        InvalidConfig: the file cannot be read, or is not TOML.
    """
    try:
        return read_toml(path, "configuration file")
    except InvalidInput as error:
        raise InvalidConfig(str(error)) from error


def check_config(tree: Mapping[str, Any], path: Path) -> None:
    """Check the tables of a file, before others replace some of them.

    Raises:
        InvalidConfig: a key is unknown or has an invalid value; the message names the file.
    """
    try:
        make_config(tree)
    except InvalidConfig as error:
        raise InvalidConfig(f"{path}: {error}") from error


def write_config(config: RunConfig) -> str:
    """Return a configuration as TOML, from which `read_config` and `make_config` restore it."""
    return tomli_w.dumps(config_tree(config))


def config_tree(config: RunConfig) -> Tree:
    """Return a configuration as tables, from which `make_config` restores it.

    Defaults are omitted, so that a preset that is added later applies, and so is consent to downloads.
    """
    tree: Tree = {}
    for field in attrs.fields(RunConfig):
        value = getattr(config, field.name)
        if not field.metadata.get("affects_output", True):
            continue
        if isinstance(value, ComponentConfig):
            name = {} if value.name == "auto" else {"name": value.name}
            tree[field.name] = {**name, **value.options}
        elif attrs.has(type(value)):
            tree[field.name] = attrs.asdict(value, filter=lambda option, given: given != option.default)
        elif value != field.default:
            tree[field.name] = list(value) if isinstance(value, tuple) else value
    return _without_none({key: value for key, value in tree.items() if value != {}})


def parse_settings(settings: Iterable[str]) -> Tree:
    """Return the tables of `--set` texts such as `depth.steps=8`; values are TOML or plain text.

    Raises:
        InvalidConfig: a text is not SECTION.OPTION=VALUE.
    """
    tree: Tree = {}
    for text in settings:
        key, equals, value = text.partition("=")
        section, dot, name = key.strip().partition(".")
        if not (equals and dot and name):
            raise InvalidConfig(f"--set {text!r} must read SECTION.OPTION=VALUE, such as depth.steps=8")
        tree.setdefault(section, {})[name] = parse_value(value.strip())
    return tree


def parse_value(text: str) -> Any:
    """Return a TOML value, or the text itself if it is not one."""
    try:
        tables = parse_toml(f"value = {text}")
    except ValueError:
        return text
    return tables["value"] if len(tables) == 1 else text  # further lines may be more entries


def merge(*trees: Mapping[str, Any]) -> Tree:
    """Merge tables; entries of later ones take precedence."""
    merged: Tree = {}
    for tree in trees:
        for key, value in tree.items():
            both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
            merged[key] = merge(merged[key], value) if both else value
    return merged


def make_config(tree: Mapping[str, Any]) -> RunConfig:
    """Return the configuration of tables.

    Raises:
        InvalidConfig: a key is unknown (the message suggests one) or a value is invalid.
    """
    refuse_unknown(tree, [field.name for field in attrs.fields(RunConfig)], "")
    for section in SECTIONS:
        if not isinstance(tree.get(section, {}), Mapping):
            role = ROLES.get(section)
            name = "" if role is None else "; moves are in cam" if role.in_cam else f"; {section}.name is the component"
            raise InvalidConfig(f"{section} must be a table of options, not {shown(tree[section])}{name}")
    under = preset(tree.get("compat"))
    video = merge(under.get("video", {}), tree.get("video", {}))
    # Intrinsics of the user replace all of those of the preset: two focal lengths contradict each other.
    own_lens = any(key in tree.get("lens", {}) for key in ("fov", "focal_px", "intrinsics"))
    lens = merge({} if own_lens else under.get("lens", {}), tree.get("lens", {}))
    plain = {key: value for key, value in tree.items() if key not in SECTIONS}
    for key in ("cam", "clips"):
        if isinstance(plain.get(key), str | int | float):
            plain[key] = [plain[key]]
    tables: Tree = {role: _component(role, tree.get(role, {})) for role in ROLES}
    tables["video"] = make_options(VideoOptions, video, "video")
    tables["lens"] = make_options(LensOptions, lens, "lens")
    tables["path"] = make_options(PathOptions, tree.get("path", {}), "path")
    for name, cls in (("refine", RefineOptions), ("guidance", GuidanceOptions)):
        tables[name] = make_options(cls, merge(under.get(name, {}), tree.get(name, {})), name)
    tables["masks"] = dict(tree.get("masks", {}))
    return attrs.evolve(make_options(RunConfig, plain, ""), **tables)


def _component(role: str, table: Mapping[str, Any]) -> ComponentConfig:
    if ROLES[role].in_cam:  # the name is in `cam`
        return ComponentConfig(options=dict(table))
    name = table.get("name", "auto")
    if not isinstance(name, str):
        raise InvalidConfig(f"{role}.name must be a text, not {shown(name)}")
    return ComponentConfig(name=name, options={key: value for key, value in table.items() if key != "name"})


def make_options(cls: type[Options], values: Mapping[str, Any], section: str) -> Options:
    """Return an options object from plain values.

    Args:
        cls: the attrs class.
        values: by field name.
        section: section of the options, for messages, such as `depth`.

    Raises:
        InvalidConfig: an option is unknown, missing or invalid.
    """
    fields = attrs.fields(cls)  # type: ignore[arg-type]  # type[] does not express attrs classes
    values = with_current_names(cls, values)
    refuse_unknown(values, [field.name for field in fields], section)
    prefix = f"{section}." if section else ""
    for field in fields:
        if field.default is attrs.NOTHING and field.name not in values:
            text = field.metadata.get("help", "")
            raise InvalidConfig(
                f"{prefix}{field.name} must be given ({text}); try --set {prefix}{field.name}=...", option=field.name
            )
    pixels = {field.name: pixel for field in fields if (pixel := field.metadata.get("pixel"))}
    given = {name: _as_text(value, pixels[name]) if name in pixels else value for name, value in values.items()}
    try:
        return _CONVERTER.structure(given, cls)
    except cattrs.BaseValidationError as group:
        reasons = cattrs.transform_error(group, path="", format_exception=_reason)
        more = ["..."] if len(reasons) > MOST_REASONS else []
        lines = [f"{prefix}{_located(reason)}" for reason in reasons[:MOST_REASONS]]
        raise InvalidConfig("; ".join([*lines, *more]), option=_first_option(group)) from group


def _first_option(group: cattrs.BaseValidationError) -> str:
    """Return the name of the first invalid option, or '' if the first error is not about a single one."""
    first = group.exceptions[0]
    notes = [note for note in getattr(first, "__notes__", ()) if isinstance(note, cattrs.AttributeValidationNote)]
    return notes[0].name if notes else getattr(first, "option", "")


def _as_text(value: Any, pixel: bool | str) -> Any:
    """Return the numbers of a pixel, [320, 180], of a depth, or of a size as text."""
    is_pixel = isinstance(value, list | tuple) and 0 < len(value) < 3 and all(type(n) in (int, float) for n in value)
    return (pixel if isinstance(pixel, str) else ",").join(map(str, value)) if is_pixel else value


def refuse_unknown(values: Mapping[str, Any], known: Sequence[str], section: str, *, component: str = "") -> None:
    """Refuse unknown options; the message suggests a known one.

    Raises:
        InvalidConfig: an option is unknown.
    """
    for key in values:
        if key not in known:
            name, prefix = str(key)[:LONGEST_KEY], f"{section}." if section else ""
            choices = f"known: {', '.join(known)}" if known else "it takes no options"
            unknown = (
                f"the {section} {component!r} has no option {name}" if component else f"unknown option {prefix}{name}"
            )
            raise InvalidConfig(f"{unknown}{nearest(name, known, then=choices)}", option=key)


def _reason(error: BaseException, kind: type | None) -> str:
    choices = next((each for each in (kind, *get_args(kind)) if get_origin(each) is Literal), None)
    if choices is not None:  # alone, or with None
        return f"must be one of {', '.join(map(str, get_args(choices)))}"
    if get_origin(kind) is tuple and isinstance(error, TypeError):
        return "must be a list, as in [0, 40]"
    if isinstance(error, (ValueError, TypeError)) and error.args:
        return str(error.args[0])
    return f"{type(error).__name__}: {error}"


def _located(reason: str) -> str:
    """Turn cattrs' `REASON @ .field` into `field: REASON`."""
    text, _, place = reason.rpartition(" @ ")
    return f"{place.lstrip('.')}: {text}" if place.lstrip(".") else text


def _without_none(tree: Tree) -> Tree:
    """Omit None, which TOML cannot express and which is the default of all such options."""
    return {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in tree.items()
        if value is not None
    }
