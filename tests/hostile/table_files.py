"""Rows of files that a person names: clips, depth, camera paths, lenses and configurations."""

from __future__ import annotations

import os
from collections.abc import Iterator

from .camera_inputs import DIGITS
from .clip_inputs import NAMES
from .places import LONG, PLACES
from .rows import Area, Row
from .text_inputs import CONFIGURATIONS, FINE

GOOD = "{IN}/clips/good.mp4"
SIZE = ("--num-frames", "5", "--size", "96x96")
DEPTH = ("--depth-file", "{IN}/clips/good.npz", *SIZE)
OUT = ("-o", "out")
WAN = "{IN}/weights/wan-good"

CLIP_COMMANDS = ("run", "recon", "depth", "preview", "masks")


def setting(*texts: str) -> tuple[str, ...]:
    """Return options as `--set` takes them; a later one of the same name wins."""
    return tuple(f"--set={text}" for text in texts)


TRAIN = (
    *("train", "--data-path", "{IN}/latents/good", "--device", "cpu"),
    *setting(f"model.base={WAN}", "model.rank=4", "model.camera_hidden=16", "learning.warmup=1", "learning.steps=2"),
    *OUT,
)
PREPARE = (
    *("data", "prepare", *OUT, "--model", WAN, "--depth", "none", "--workers", "1", "--device", "cpu"),
    *setting("masks.kind=tracking", "renderer.name=zbuffer", "data.frames=5", "data.size=32x32", "data.min_side=16"),
    *setting("data.min_fps=0", "data.masks_per_clip=1"),
)


def calling(command: str, clip: str = GOOD, *more: str, depth: tuple[str, ...] = DEPTH) -> tuple[str, ...]:
    """Return what is typed for a command that reads a clip."""
    own = {"run": ("--cam", "30"), "recon": ("--cam", "30"), "preview": ("--cam", "30"), "masks": ("--count", "1")}
    clip = f"./{clip}" if clip.startswith("-") else clip
    return (command, clip, *depth, *own.get(command, ()), *OUT, *more)


def generating(color: str = GOOD, mask: str = "{IN}/clips/mask.mp4", *more: str) -> tuple[str, ...]:
    """Return what is typed for `ex4d generate`."""
    return ("generate", "--color-video", color, "--mask-video", mask, "--output-video", "out/x.mp4", *more)


def in_places(folder: str, suffix: str) -> Iterator[tuple[str, str]]:
    """Yield name and path of each odd place of a folder."""
    for place in PLACES:
        yield place, f"{{IN}}/{folder}/{place}{suffix}"


def last(path: str) -> str:
    """Return the last part of a path, as an error must name it."""
    return path.rstrip("/").rpartition("/")[2]


def clip_rows() -> Iterator[Row]:
    """Yield rows of clips."""
    for command in (*CLIP_COMMANDS, "generate"):
        for name, path, codes in _clips():
            arguments = generating(path) if command == "generate" else calling(command, path)
            if command == "generate" and name.startswith(("named", "images", "raw")):
                continue
            says = last(path) if name.startswith("places") else ""
            # The mask of a clip that is whole has its size, and any other does not.
            fine = codes if command != "generate" or 0 not in codes else (0, 2)
            several = name in ("raw/empty", "raw/here", "raw/up", "raw/up-up", "raw/root")
            row = f"{command}/clip/{name}"
            yield Row(name=row, arguments=arguments, area="clips", codes=fine, says=says, several=several)
    for name, path in in_places("clips/places", ".mp4"):
        yield Row(name=f"generate/mask/{name}", arguments=generating(GOOD, path), area="clips", says=last(path))
    for name in ("short-mask", "small-mask", "half", "sound"):
        arguments = generating(GOOD, f"{{IN}}/clips/{name}.mp4")
        codes = (0, 2) if name == "half" else (2,)
        yield Row(name=f"generate/mask/{name}", arguments=arguments, area="clips", codes=codes)
    for target in ("out/x.txt", "out/x", "out/", "out/../out/x.gif", "/dev/full/x.mp4", f"out/{LONG}.mp4", "a\0b.mp4"):
        arguments = (*generating()[:-1], target)
        yield Row(name=f"generate/output/{target[:20]!r}", arguments=arguments, area="clips")


RAW = {
    "empty": ("", (0, 2)),
    "here": (".", (0, 2)),
    "up": ("..", (0, 2)),
    "up-up": ("../..", (0, 2)),
    "root": ("/", (0, 2)),
    "home": ("~", (2,)),
    "nul": ("a\0b.mp4", (2,)),
    "long": (f"{LONG}.mp4", (2,)),
    "long-path": ("x/" * 3000 + "a.mp4", (2,)),
    "http": ("http://127.0.0.1:9/x.mp4", (2,)),
    "concat": ("concat:{IN}/clips/good.mp4|{IN}/clips/good.mp4", (2,)),
    "file-url": ("file:{IN}/clips/good.mp4", (2,)),
    "pipe": ("pipe:0", (2,)),
    "lavfi": ("lavfi:testsrc", (2,)),
    "stdin": ("/dev/stdin", (2,)),
    "memory": ("/proc/self/mem", (2,)),
    "descriptor": ("/dev/fd/63", (2,)),
    "environ": ("/proc/self/environ", (2,)),
    "markup": ("[/x].mp4", (2,)),
    "color": ("[red]absent.mp4", (2,)),
    "escape": ("\x1b[31mabsent\x07.mp4", (2,)),
    "dash": ("-", (2,)),
    "pattern": ("*.absent", (2,)),
    "pattern-open": ("[", (2,)),
    "percent": ("%d.mp4", (2,)),
    "surrogate": ("\udcff.mp4", (2,)),
}
"""Texts in the place of a clip."""

DAMAGED = {
    **{f"{name}.{suffix}": (0, 2) for name in ("half", "holed", "misnamed") for suffix in ("mp4", "mkv")},
    **dict.fromkeys(("head.mp4", "head.mkv", "sound.wav", "sound.mp4", "zip.mp4", "box.mp4"), (2,)),
    "tiny.mp4": (0, 2),
    **dict.fromkeys(("lost.avi", "fields.mpg", "hdr.mkv", "cut.webp", "noise.webp", "wide.webp"), (0, 2)),
    **dict.fromkeys(("moov.mp4", "photo.jxl", "layout.heic", "cut.exr", "bomb.exr", "names.exr"), (2,)),
    **{f"lists/{name}": (2,) for name in ("a.ffconcat", "b.mp4", "c.m3u8", "d.mp4", "e.sdp", "f.mpd", "g.svg")},
    "good.npz": (2,),
}
IMAGES = {
    "good": (0,),
    **dict.fromkeys(("bomb", "cut", "text", "empty-one", "unreadable", "fifo", "loop", "zero"), (2,)),
    **dict.fromkeys(("unlistable", "none", "alone.png"), (2,)),
    **dict.fromkeys(("sizes", "folder", "animated", "animated.webp", "deep.png"), (0, 2)),
}
ODD_NAMES = dict.fromkeys(("dots", "two-dots", "four-dots", "newline", "not-utf8", "long", "blank"), (0, 2))


def _clips() -> Iterator[tuple[str, str, tuple[int, ...]]]:
    for name, path in in_places("clips/places", ".mp4"):
        yield f"places/{name}", path, (2,)
    for name, codes in DAMAGED.items():
        yield f"damaged/{name}", f"{{IN}}/clips/{name}", codes
    for name, codes in IMAGES.items():
        yield f"images/{name}", f"{{IN}}/clips/images/{name}", codes
    for name, file in NAMES.items():
        codes = ODD_NAMES.get(name, (0,))
        yield f"named/{name}", f"{{IN}}/clips/named/{os.fsdecode(file)}", codes
    for name, (path, codes) in RAW.items():
        yield f"raw/{name}", path, codes


_ANY_DEPTH = (
    *("mixed", "half", "int64", "bool", "huge", "tiny", "scalar", "many-axes", "small", "short", "object"),
    *("lzma", "bzip2", "deflated", "twice", "valid-none", "kind-list", "K-huge", "png-sizes", "png-color", "line"),
    *("poses-huge", "not-arrays", "member-version-9", "header-long", "member-header-long", "no-pixels", "negative"),
    *("facts-scale-negative", "facts-deep", "nan", "exr-cut-two"),
)
"""Depth that some may use."""

_REFUSED = {"object", "no-pixels", "facts-deep", "K-huge", "poses-huge", "member-version-9", "not-arrays"}


def depth_rows(files: list[str]) -> Iterator[Row]:
    """Yield rows of depth; `files` are the names in the folder of them."""
    for name in files:
        stem = name.removesuffix(".npz").removesuffix(".npy")
        codes = (0, 2) if stem in _ANY_DEPTH and stem not in _REFUSED else (2,)
        for command in ("depth", "recon"):
            given = ("--depth-file", f"{{IN}}/depth/{name}", *SIZE)
            # An error about one frame of a folder may name the frame.
            says = name if "." in name and codes == (2,) else ""
            arguments = calling(command, depth=given)
            yield Row(name=f"{command}/depth-file/{name}", arguments=arguments, area="clips", codes=codes, says=says)
    for folder, suffix in (("places", ".npz"), ("array-places", ".npy")):
        for name, path in in_places(f"depth/{folder}", suffix):
            for command in ("depth", "recon") if suffix == ".npz" else ("masks",):
                arguments = calling(command, depth=("--depth-file", path, *SIZE))
                row = f"{command}/depth-file/{folder}/{name}"
                yield Row(name=row, arguments=arguments, area="clips", says=last(path))
    for name in ("good.mp4", "half.mkv", "sound.mp4", "lists/a.ffconcat", "images/bomb", "images/good", "images/none"):
        arguments = calling("depth", depth=("--depth-file", f"{{IN}}/clips/{name}", *SIZE))
        codes = (0, 2) if name in ("good.mp4", "half.mkv", "images/good") else (2,)
        yield Row(name=f"depth/depth-file/clips/{name}", arguments=arguments, area="clips", codes=codes)


_FINE_CAMERAS = (
    "good.json",
    "ns_good.json",
    "r_good.json",
    "good.csv",
    "t_good.txt",
    "z_good.npz",
    "m_good",
    "f_good_tum.txt",
)
_ANY_CAMERAS = (
    *("j_frames_fraction.json", "j_frames_text.json", "ns_distorted.json", "ns_path_digits.json", "t_short.txt"),
    *("ns_path_list.json", "m_name-digits", "r_many.json", "c_more.csv", "t_angle.txt", "m_zero-turn", "m_no-images"),
    *("z_no-size.npz", "z_size-huge.npz", "r_points.json", "t_long.txt", "c_quote.csv", "bl_angle_zero.json"),
    *("j_frames_huge.json", "z_intrinsics-shape.npz", "r_huge.json", "j_axes.json", "t_huge.txt", "bl_angle_list.json"),
    *("[red].json", "[x].json", "a b.json", "x\x1b[31m.json", "'q'.json", "-x.json", "r_key_digits.json"),
    *("c_hugefield.csv", "m_few", "z_size-zero.npz", "m_nan-turn", "c_digits.csv", "j_shares.json"),
)
_WRONG_CAMERAS = ("m_nan-turn", "m_few", "m_zero-turn", "m_no-images", "c_digits.csv", "j_shares.json", "r_huge.json")
_LENSLESS = ("good.csv", "r_good.json", "t_good.txt", "f_good_tum.txt")
TARGETS = {
    **{"json": "x.json", "csv": "x.csv", "ex4d": "x.npz", "nerfstudio": "x.json", "blender": "x.json"},
    **{"colmap": "x", "trajectorycrafter": "x.txt", "recammaster": "x.json", "tum": "x.txt"},
}


def camera_rows(files: list[str]) -> Iterator[Row]:
    """Yield rows of camera files; `files` are the names in the folder of them."""
    for name in files:
        path = f"{{IN}}/cam/{name}"
        fine = name in _FINE_CAMERAS
        some = name in _ANY_CAMERAS and name not in _WRONG_CAMERAS
        codes = (0,) if fine else (0, 2) if some else (2,)
        says = name if codes == (2,) and not name.startswith("m_") else ""

        def row(kind: str, arguments: tuple[str, ...], codes: tuple[int, ...], says: str = says, of: str = name) -> Row:
            return Row(name=f"{kind}/{of}", arguments=arguments, area="cameras", codes=codes, says=says)

        yield row("cam convert", ("cam", "convert", path, "out/x.json", "--to", "json"), codes)
        given = f"'{path}'" if "'" not in path else f'"{path}"'
        yield row("recon/cam", ("recon", GOOD, *DEPTH, "--cam", given, *OUT), codes)
        loose = (0, 2) if codes != (2,) else codes
        yield row("recon/source-cameras", ("recon", GOOD, *DEPTH, "--source-cameras", path, *OUT), loose)
        if name.endswith(".npz"):
            yield row("generate/camera", generating(GOOD, "{IN}/clips/mask.mp4", "--camera", path), loose)
        if name.startswith("j_lens") or fine:
            for to, target in TARGETS.items():
                convert = ("cam", "convert", path, f"out/{target}", "--to", to)
                yield row(f"cam convert to {to}", convert, loose, says="")
    for folder, suffix in (("places", ".json"), ("csv-places", ".csv"), ("npz-places", ".npz"), ("txt-places", ".txt")):
        for name, path in in_places(f"cam/{folder}", suffix):
            convert = ("cam", "convert", path, "out/x.json")
            yield Row(name=f"cam convert/{folder}/{name}", arguments=convert, area="cameras", says=last(path))
            if folder in ("places", "npz-places"):
                recon = ("recon", GOOD, *DEPTH, "--cam", f"'{path}'", *OUT)
                yield Row(name=f"recon/cam/{folder}/{name}", arguments=recon, area="cameras", says=last(path))
            if folder == "npz-places":
                arguments = generating(GOOD, "{IN}/clips/mask.mp4", "--camera", path)
                yield Row(name=f"generate/camera/{name}", arguments=arguments, area="cameras", says=last(path))
            if folder == "places":
                arguments = ("recon", GOOD, *DEPTH, "--source-cameras", path, *OUT)
                yield Row(name=f"recon/source-cameras/{name}", arguments=arguments, area="cameras", says=last(path))


def lens_rows(files: list[str]) -> Iterator[Row]:
    """Yield rows of files of a lens; `files` are the names in the folder of them."""
    some = ("boolean.json", "width-fraction.json", "m-complex.npy", "m-complex.npz", "point.json", "width-huge.json")
    for name in files:
        codes = (0,) if name == "good.json" else (0, 2) if name in some[:2] else (2,)
        arguments = calling("recon", GOOD, "--intrinsics", f"{{IN}}/texts/lens/{name}")
        yield Row(name=f"recon/intrinsics/{name}", arguments=arguments, area="cameras", codes=codes, says=name)
    for folder, suffix in (("places", ".json"), ("npy-places", ".npy"), ("txt-places", ".txt")):
        for name, path in in_places(f"texts/lens/{folder}", suffix):
            command = "depth" if suffix == ".npy" else "recon"
            arguments = calling(command, GOOD, "--intrinsics", path)
            row = f"{command}/intrinsics/{folder}/{name}"
            yield Row(name=row, arguments=arguments, area="cameras", says=last(path))


def config_rows() -> Iterator[Row]:
    """Yield rows of configurations."""
    commands: dict[str, tuple[tuple[str, ...], Area]] = {
        "run": (calling("run"), "edge"),
        "masks": (calling("masks"), "edge"),
        "generate": (generating(), "edge"),
        "train": (TRAIN, "training"),
        "data prepare": ((*PREPARE, "--data-path", "{IN}/texts/captions/good"), "training"),
    }
    for command, (arguments, area) in commands.items():
        for name in (*CONFIGURATIONS, "huge"):
            # What a flag gives wins over the file, and some commands have no such option.
            loose = name in (*FINE, *_OVERRIDDEN, "masks-unknown")
            codes = (0, 2) if loose or command in ("generate", "train", "data prepare", "masks") else (2,)
            codes = (2,) if name in _NOT_TOML else codes
            says = f"{name}.toml" if name in _NOT_TOML else ""
            given = (*arguments, "--config", f"{{IN}}/texts/config/{name}.toml")
            yield Row(name=f"{command}/config/{name}", arguments=given, area=area, codes=codes, says=says)
        for name, path in in_places("texts/config/places", ".toml"):
            codes = (0, 2) if name == "empty" else (2,)
            given = (*arguments, "--config", path)
            row = f"{command}/config/places/{name}"
            yield Row(name=row, arguments=given, area=area, codes=codes, says=last(path))


_NOT_TOML = (
    *("deep-list", "deep-table", "deep-inline", "digits", "latin", "utf16", "nul", "not-toml", "html", "twice", "huge"),
)
_OVERRIDDEN = ("cam-empty", "cam-nested", "depth-name-list", "depth-path-list", "clips-number", "clips-nul")


def settings() -> Iterator[tuple[str, str]]:
    """Yield texts of `--set` that nobody can use, by name."""
    yield from {
        "empty": "",
        "no-equals": "x.y",
        "no-section": "x=1",
        "equals": "=",
        "dots": "...=1",
        "unknown": "depht.steps=1",
        "unknown-escape": "\x1b[31m.a=1",
        "unknown-markup": "[/x].a=[red]",
        "deep": "video.stride=" + "[" * 3000,
        "deep-closed": "video.stride=" + "[" * 3000 + "]" * 3000,
        "tables": "video.stride=" + "{a=" * 900 + "1" + "}" * 900,
        "digits": f"video.stride={DIGITS}",
        "nan": "video.fps=nan",
        "inf": "video.fps=inf",
        "list": "video.stride=[1]",
        "date": "video.stride=1979-05-27",
        "name-list": "renderer.name=[1]",
        "newline": "video.stride=1\nseed=2",
        "long": "video.stride=" + "x" * 100_000,
    }.items()
