"""Rows of texts and numbers that are typed: values of options, camera paths, names of plugins, places of outputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import attrs

from ex4d_core.cli.flags import FILL_FLAGS, FLAGS, PATH_FLAGS

from .camera_inputs import DIGITS
from .places import LONG
from .rows import Area, Row
from .table_files import DEPTH, GOOD, OUT, PREPARE, TRAIN, calling, generating, setting, settings

INTEGERS = ("-1", "0", "1e3", "x", "", "nan", "inf", "0x10", str(10**23), DIGITS)
FLOATS = ("-1", "0", "1e300", "1e-300", "x", "", "nan", "inf", "-inf", DIGITS)
TEXTS = ("", "\x1b[31mx\x07", "[/x]", "a" * 5000, "\udcff", "nan", "a\nerror: b")
NOT_INTEGERS = ("-1", "1e3", "x", "", "nan", "inf", "0x10")
NOT_FLOATS = ("x", "", "nan", "inf", "-inf", "-1")


def flag_rows() -> Iterator[Row]:
    """Yield each flag with each odd value, for the first command that takes it."""
    for flag in FLAGS:
        if flag.name == "--cam":
            continue
        values: dict[Any, tuple[str, ...]] = {int: INTEGERS, float: FLOATS}
        is_text = flag.kind not in values  # a choice is typed as a text
        for value in values.get(flag.kind, TEXTS):
            wrong = {int: NOT_INTEGERS, float: NOT_FLOATS}.get(flag.kind, ())
            refused = value in wrong or (flag.kind is float and value in ("0", "1e300", "1e-300", DIGITS))
            if is_text and flag.name != "--prompt" and value not in ("", "nan"):
                refused = True
            command = "run" if flag.name in (*FILL_FLAGS, *PATH_FLAGS) else "depth"
            base = [*calling(command)]
            if flag.name in base:
                del base[base.index(flag.name) : base.index(flag.name) + 2]
            area: Area = "cameras" if flag.name in PATH_FLAGS else "edge"
            codes = (2,) if refused else (0, 2)
            name = f"{command}/{flag.name}/{_short(value)}"
            yield Row(
                name=name, arguments=(*base, f"{flag.name}={value}"), area=area, codes=codes, several="\n" in value
            )


def _short(value: str) -> str:
    return ascii(value if len(value) < 20 else f"{value[:9]}... {len(value)}")


CAMS = {
    **{
        name: (name, (2,))
        for name in ("", "30 then", "nan", "1e999", "(", "30..", "then", "with", ":", "a:b:c=", "30,3")
    },
    "yaw-nan": ("orbit:yaw=nan", (2,)),
    "yaw-inf": ("orbit:yaw=inf", (2,)),
    "yaw-huge": ("orbit:yaw=1e308", (0, 2)),
    "yaw-digits": (f"orbit:yaw={DIGITS}", (2,)),
    "yaw-list": ("orbit:yaw=" + "[" * 2000, (2,)),
    "yaw-tables": ("orbit:yaw=" + "{a=" * 900 + "1" + "}" * 900, (2,)),
    "pitch": ("orbit:pitch=90", (2,)),
    "move-long": ("x" * 10_000, (2,)),
    "many": (" then ".join(["30"] * 300), (0, 2)),
    "many-with": (" with ".join(["static"] * 300), (0, 2)),
    "brackets": ("(" * 5000, (2,)),
    "escape": ("\x1b[31m", (2,)),
    "markup": ("[/x]", (2,)),
    "file-markup": ('"[/x].json"', (2,)),
    "file-color": ('"[red].json"', (2,)),
    "file-absent": ("absent.npz", (2,)),
    "file-up": ("../../../etc/passwd.json", (2,)),
    "file-long": (f"{LONG}.json", (2,)),
    "file-nul": ("a\0b.json", (2,)),
    "camera-minus": ("{IN}/cam/r_good.json:camera=-1", (2,)),
    "camera-escape": ("{IN}/cam/r_many.json:camera=\x1b[31m", (2,)),
    "scale-inf": ("{IN}/cam/good.json:scale=inf", (2,)),
    "scale-nan": ("{IN}/cam/good.json:scale=nan", (2,)),
    "scale-zero": ("{IN}/cam/good.json:scale=0", (2,)),
    "scale-huge": ("{IN}/cam/good.json:scale=1e300", (0, 2)),
    "convention": ("{IN}/cam/good.json:convention=\x1b", (2,)),
    "format": ("{IN}/cam/good.json:format=[/x]", (2,)),
    "ease": ("static:ease=\x1b[31m", (2,)),
    "share": ("static:share=1e999%", (2,)),
    "by-inf": ("dolly:amount=inf", (2,)),
    "by-huge": ("dolly:amount=1e300", (0, 2)),
    "zoom-huge": ("zoom_in:amount=1e300", (0, 2)),
    "handheld-seed": ("handheld:seed=-1", (0, 2)),
    "handheld-huge": ("handheld:seed=1" + "0" * 30, (0, 2)),
    "handheld-amount": ("handheld:amount=1e300", (0, 2)),
    "freeze": ("freeze:frame=1" + "0" * 30, (0, 2)),
    "freeze-minus": ("freeze:frame=-1", (0, 2)),
    "slow-zero": ("slow:factor=0", (2,)),
    "slow-nan": ("slow:factor=nan", (2,)),
    "slow-tiny": ("slow:factor=1e-300", (0, 2)),
    "arc-huge": ("arc:angle=1e300", (0, 2)),
    "spiral": ("spiral:turns=1e300", (0, 2)),
    "keyframes": ("keyframes:yaw=[0,nan]", (2,)),
    "keyframes-many": ("keyframes:yaw=[" + ",".join(["1"] * 5000) + "]", (0, 2)),
    "keyframes-at": ("keyframes:yaw=[0,1],at=[1,0]", (2,)),
    "look-at": ("orbit:look_at=[1e30,1]", (0, 2)),
    "sweep": ("-1e999..90", (2,)),
    "same-twice": ("orbit:yaw=1,yaw=2", (2,)),
}
"""Texts of `--cam`."""


def cam_rows() -> Iterator[Row]:
    """Yield camera paths that are typed."""
    for name, (text, codes) in CAMS.items():
        for command in ("recon", "preview"):
            arguments = (command, GOOD, *DEPTH, f"--cam={text}", *OUT)
            yield Row(name=f"{command}/--cam/{name or 'empty'}", arguments=arguments, area="cameras", codes=codes)


CAREFREE = ("plugins check", "data prepare")
"""Commands that need not read `[video]`."""

OVERRIDDEN = ("deep", "deep-closed", "tables")
"""Settings of `--set` that flags of the call replace."""


def option_rows() -> Iterator[Row]:
    """Yield odd values of what single commands take."""
    for name, arguments, area in _odd_values():
        yield Row(name=name, arguments=arguments, area=area)
    for name, text in settings():
        for command, arguments, area in (
            ("run", calling("run"), "edge"),
            ("train", TRAIN, "training"),
            ("data prepare", (*PREPARE, "--data-path", "{IN}/texts/captions/good"), "training"),
            ("plugins check", ("plugins", "check", "inpaint"), "edge"),
            ("fetch", ("fetch", "mine", "--dry-run"), "hub"),
        ):
            given = (*arguments, f"--set={text}")
            if command == "plugins check" and name not in ("deep", "digits", "tables", "no-equals"):
                continue  # the contract takes seconds
            codes = (0, 2) if command in CAREFREE or (command == "run" and name in OVERRIDDEN) else (2,)
            yield Row(name=f"{command}/--set/{name}", arguments=given, area=area, codes=codes)  # type: ignore[arg-type]


VALUES: dict[str, tuple[str, ...]] = {
    "run --mesh-format": ("", "obj", "[/x]"),
    "run --save-mesh": ("", "x", "\x1b[31m"),
    "depth --format": ("", "x", "[/x]\x1b[1m"),
    "preview --max-frames": ("0", "-1", "x", "nan"),
    "preview --max-side": ("1", "-1", "x", "inf"),
    "masks --count": ("0", "-1", "x", "1e3"),
    "masks --kind": ("x", "[/x]", "\x1b[1m"),
}
"""Values that an option of a command on clips cannot take."""


def _odd_values() -> Iterator[tuple[str, tuple[str, ...], Area]]:
    for option, values in VALUES.items():
        command, flag = option.split()
        for value in values:
            yield f"{command}/{flag}/{value!r}", calling(command, GOOD, f"{flag}={value}"), "edge"
    for flag, values in {
        "--to": ("x", "[/x]", "\x1b[1m"),
        "--from": ("csv", "colmap", "x"),
        "--distance": NOT_FLOATS,
    }.items():
        for value in values:
            yield f"cam convert/{flag}/{value!r}", (*_convert(), f"{flag}={value}"), "cameras"
    for value in ("", "a", "1..0", "-1", DIGITS, "0,,1"):
        yield f"data download/--parts/{value[:9]!r}", _download(value), "training"
    yield "data download/name", ("data", "download", "\x1b[31m", "--parts", "0", *OUT, "--yes"), "training"
    prepare = (*PREPARE, "--data-path", "{IN}/texts/captions/good", "--workers", "0")
    yield "data prepare/--workers/0", prepare, "training"
    yield "train/--num-gpus/huge", (*TRAIN, "--num-gpus", str(10**23)), "training"
    for command in ("run", "train", "fetch", "doctor"):
        yield f"{command}/unknown", (command, "--absent", "[/x]\x1b[31m"), "edge"
    for command in ("run", "recon", "generate", "view"):
        yield f"{command}/nothing", (command,), "edge"
    yield "unknown command", ("\x1b[31m[/x]",), "edge"
    yield "cam unknown", ("cam", "[/x]"), "edge"


def _convert() -> tuple[str, ...]:
    return ("cam", "convert", "{IN}/cam/good.json", "out/x.json")


def _download(parts: str) -> tuple[str, ...]:
    return ("data", "download", "openvid", f"--parts={parts}", *OUT, "--yes")


def component_rows() -> Iterator[Row]:
    """Yield each option of the built-in components, of training and of its data with each odd number."""
    from ex4d_core.plugins.discovery import find_plugins
    from ex4d_training.config import SECTIONS
    from ex4d_training.data.options import DataOptions

    chosen = {("mesh", "watertight"), ("renderer", "zbuffer"), ("backbone", "inpaint"), ("depth", "file")}
    for offer in find_plugins().offers:
        if (offer.role, offer.name) in chosen:
            base = calling("run", GOOD, "--set", f"{offer.role}.name={offer.name}")
            yield from _fields("run", base, offer.role, offer.spec.options, "edge")
    for section, options in SECTIONS.items():
        yield from _fields("train", TRAIN, section, options, "training")
    prepare = (*PREPARE, "--data-path", "{IN}/texts/captions/good")
    yield from _fields("data prepare", prepare, "data", DataOptions, "training")


COSTLY = {
    "num_gpus": ("0x10",),
    "compile": ("true",),
    **dict.fromkeys(("steps", "accumulate", "validate_every"), (str(10**23), "0x10", "1e300")),
    **dict.fromkeys(("num_frames", "overlap", "ahead", "validation_steps", "masks_per_clip"), (str(10**23),)),
}
"""Values that ask for long work, which is then done."""


def _fields(command: str, base: tuple[str, ...], section: str, options: Any, area: Area) -> Iterator[Row]:
    few = command == "data prepare"  # each that is accepted takes seconds
    for field in attrs.fields(options):
        kinds = str(field.type)
        numbers = next((values for kind, values in (("int", INTEGERS), ("float", FLOATS)) if kind in kinds), None)
        if get_args(field.type) and numbers is None and "Literal" not in kinds:
            continue
        for value in numbers or ("\x1b[31m[/x]", "[1]", "3.5", "true"):
            if value in COSTLY.get(field.name, ()) or (few and value not in (*FEW, DIGITS)):
                continue
            codes = (2,) if numbers is not None and value in ("nan", "x") else (0, 2)
            name = f"{command}/{section}.{field.name}/{_short(value)}"
            given = (*base, *setting(f"{section}.{field.name}={value}"))
            yield Row(name=name, arguments=given, area=area, codes=codes)


FEW = ("nan", "inf", "-1", "[1]")


PLUGIN_NAMES = (
    *("", "A", "a b", "../x", "a/b", "/abs", ".", "..", "a.b", "a--b", "0a", "-a", "ex4d", "auto", "inpaint@x", "~"),
    *("\x1b[31m", "[red]", "[/x]", "\u00fc", "a\nb", "\udcff", "a" * 300, "a" * 5000, "$(id)", "%s", "a\0b"),
)


def plugin_rows() -> Iterator[Row]:
    """Yield names of plugins and roles."""
    for value in PLUGIN_NAMES:
        name = _short(value)
        given = {
            "plugins new": ("plugins", "new", "--role", "depth", *OUT, "--", value),
            "plugins show": ("plugins", "show", "--", value),
            "plugins check": ("plugins", "check", "--", value),
            "fetch": ("fetch", "--yes", "--", value),
        }
        for command, arguments in given.items():
            area: Area = "hub" if command == "fetch" else "edge"
            yield Row(name=f"{command}/name/{name}", arguments=arguments, area=area)
    for value in ("", "x", "\x1b[31m", "[/x]", "depth "):
        arguments = ("plugins", "new", "mine-two", *OUT, "--role", value)
        yield Row(name=f"plugins new/--role/{_short(value)}", arguments=arguments, area="edge")
    for value in ("class", "con", "none", "numpy", "a" * 100):
        arguments = ("plugins", "new", value, *OUT, "--role", "mesh")
        yield Row(name=f"plugins new/word/{_short(value)}", arguments=arguments, area="edge", codes=(0, 2))
    for value in ("", "\x1b[31m", "cuda:99", "meta", "gpu"):
        arguments = ("plugins", "check", "inpaint", f"--device={value}")
        yield Row(name=f"plugins check/--device/{_short(value)}", arguments=arguments, area="edge", codes=(0, 1, 2))


OUTPUTS = {
    "file": "{IN}/places/file",
    "file-inner": "{IN}/places/file/x",
    "fifo": "{IN}/clips/places/fifo.mp4",
    "loop": "{IN}/clips/places/loop.mp4",
    "loop-inner": "{IN}/clips/places/loop.mp4/x",
    "locked": "{IN}/clips/places/locked/x",
    "device": "/dev/full",
    "null": "/dev/null",
    "proc": "/proc/x",
    "long": LONG,
    "long-path": "x/" * 3000,
    "nul": "a\0b",
}
"""Folders that nothing can be written into."""


def output_rows() -> Iterator[Row]:
    """Yield folders for outputs."""
    for name, place in OUTPUTS.items():
        commands: dict[str, tuple[tuple[str, ...], Area]] = {
            **{command: (calling(command), "runs") for command in ("run", "recon", "depth", "preview", "masks")},
            "generate": ((*generating()[:-1], f"{place}/x.mp4"), "runs"),
            "cam convert": (("cam", "convert", "{IN}/cam/good.json", f"{place}/x.json"), "cameras"),
            "plugins new": (("plugins", "new", "mine-two", "--role", "depth", *OUT), "edge"),
            "train": (TRAIN, "training"),
            "data prepare": ((*PREPARE, "--data-path", "{IN}/texts/captions/good"), "training"),
            "data download": (_download("0"), "training"),
        }
        for command, (arguments, area) in commands.items():
            at = arguments.index("-o") + 1 if "-o" in arguments else len(arguments)
            given = (*arguments[:at], place, *arguments[at + 1 :]) if at < len(arguments) else arguments
            yield Row(name=f"{command}/output/{name}", arguments=given, area=area, may_ask=command == "data download")
