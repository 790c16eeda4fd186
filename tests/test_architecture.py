"""The rules of the code base: layers, size, and what must not be in it."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = ROOT / "ex4d_core"

LAYERS = (
    {"installed"},
    {"erosion", "errors", "progress", "provider", "stray_output", "__init__"},
    {"bounds", "reading", "terminal", "names"},
    {"options", "files", "hub", "arrays", "page_guard", "ending"},
    {"types", "hookspecs", "offered", "records"},
    {"workspace", "commands", "outputs"},
    {"geometry", "framing", "roles", "plugins", "store", "memory", "hub_errors", "transfer", "foreign_weights"},
    {
        *("registry", "compat", "video_io", "mesh_io", "trajectory", "camera_files", "contact_sheet", "doctor"),
        *("scene_sampling", "hub_listing"),
    },
    {"config", "codecs", "depth_preview", "builtin", "stages", "plugin_tables", "hub_cache"},
    {"cam", "clips", "lens", "source_cameras", "flags", "depth_export", "fetch", "masking", "testing"},
    {"pipeline", "fetch_tables", "plugin_check", "plugin_new"},
    {"session"},
    {"run_folder", "generate", "model", "preview"},
    {"batch"},
    {"console"},
)
"""Lowest first: a module imports from lower layers, and from its own package."""

RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}


def imports_of(path: Path) -> set[str]:
    """Names of the core's modules that a file imports, those for type checkers only left out."""
    tree = ast.parse(path.read_text())
    hidden = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    names = set()
    for node in ast.walk(tree):
        if id(node) in hidden or not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        found = [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            found = [f"ex4d_core.{name}" for name in found] if module == "ex4d_core" else [module]
        names |= {name.split(".")[1] for name in found if name.startswith("ex4d_core.")}
    return names


@pytest.mark.parametrize("path", sorted(CORE.rglob("*.py")), ids=lambda path: str(path.relative_to(CORE)))
def test_modules_import_from_lower_layers_only(path):
    own = path.relative_to(CORE).parts[0].removesuffix(".py")
    wrong = {name for name in imports_of(path) & set(RANK) if name != own and RANK[name] >= RANK[own]}
    assert own in RANK
    assert wrong == set()


def python_files():
    return [p for folder in ("ex4d_core", "plugins", "examples", "benchmarks") for p in (ROOT / folder).rglob("*.py")]


def test_files_stay_readable():
    assert [str(path) for path in python_files() if len(path.read_text().splitlines()) > 400] == []


def test_functions_stay_readable():
    long = [
        f"{path.name}:{node.name}"
        for path in python_files()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= 60
    ]
    assert long == []


def test_only_command_lines_import_typer():
    users = [path for path in python_files() if re.search(r"^\s*(import|from) typer\b", path.read_text(), re.MULTILINE)]
    assert [path for path in users if path.name != "cli.py" or "plugins" not in path.parts] == []


def test_nothing_is_pickled():
    def pickles(path: Path) -> bool:
        text = path.read_text()
        return "import pickle" in text or "allow_pickle=True" in text or "weights_only=False" in text

    # Tests may make pickles, to see them refused.
    assert [path for path in python_files() if pickles(path) and "tests" not in path.parts] == []


@pytest.mark.parametrize("plugin", sorted((ROOT / "plugins").glob("*/")), ids=lambda folder: folder.name)
def test_each_plugin_is_held_to_its_contract(plugin):
    text = (plugin / "tests" / "test_contract.py").read_text()
    assert re.search(r"class Test\w+\(\w+Contract\)", text)


def test_only_the_test_kit_imports_pytest():
    users = [path for path in CORE.rglob("*.py") if re.search(r"^\s*(import|from) pytest\b", path.read_text(), re.M)]
    assert [path for path in users if path.parts[len(CORE.parts)] != "testing"] == []
