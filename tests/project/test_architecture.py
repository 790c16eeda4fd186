"""The rules of the code base: layers, size, and what must not be in it."""

import ast
import re
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "ex4d_core"
PLUGINS = sorted((ROOT / "plugins").glob("*/"))


def python_files():
    return [
        p
        for folder in ("ex4d_core", "plugins", "integrations", "examples", "benchmarks")
        for p in (ROOT / folder).rglob("*.py")
    ]


def test_files_stay_readable():
    assert [str(path) for path in python_files() if len(path.read_text().splitlines()) > 400] == []


@pytest.mark.slow
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
    homes = {"plugins": "cli.py", "ex4d_core": "cli"}  # a file of a plugin, a folder of the core
    assert [path for path in users if homes[path.relative_to(ROOT).parts[0]] not in path.parts] == []


def test_nothing_is_pickled():
    def pickles(path: Path) -> bool:
        text = path.read_text()
        return "import pickle" in text or "allow_pickle=True" in text or "weights_only=False" in text

    # Tests may make pickles, to see them refused.
    assert [path for path in python_files() if pickles(path) and "tests" not in path.parts] == []


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda folder: folder.name)
def test_each_plugin_is_held_to_its_contract(plugin):
    text = (plugin / "tests" / "test_contract.py").read_text()
    assert re.search(r"class Test\w+\(\w+Contract\)", text)


def test_only_the_test_kit_imports_pytest():
    users = [path for path in CORE.rglob("*.py") if re.search(r"^\s*(import|from) pytest\b", path.read_text(), re.M)]
    kit = (CORE / "testing", CORE / "jobs" / "contract.py")  # which needs a higher layer
    assert [path for path in users if not any(path.is_relative_to(place) for place in kit)] == []


def imports_within(package: Path) -> dict[str, set[str]]:
    """Return the modules of a package that each of them imports, also inside functions and under TYPE_CHECKING."""
    paths = {path: path.relative_to(package.parent).with_suffix("").parts for path in package.rglob("*.py")}
    modules = {".".join(parts[:-1] if parts[-1] == "__init__" else parts): path for path, parts in paths.items()}

    def imported(node: ast.AST) -> set[str]:
        if isinstance(node, ast.Import):
            return {alias.name for alias in node.names} & modules.keys()
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            return {name if name in modules else node.module for name in names} & modules.keys()
        return set()

    return {name: set().union(*map(imported, ast.walk(ast.parse(path.read_text())))) for name, path in modules.items()}


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda folder: folder.name)
def test_no_plugin_has_import_cycles(plugin):
    (package,) = plugin.glob("src/ex4d_*")
    TopologicalSorter(imports_within(package)).prepare()  # raises an error that lists the cycle


@pytest.mark.slow
def test_the_core_has_no_import_cycles():
    TopologicalSorter(imports_within(CORE)).prepare()


@pytest.mark.parametrize("plugin", sorted((ROOT / "plugins").glob("*/")), ids=lambda folder: folder.name)
def test_plugins_have_the_version_of_the_core(plugin):
    """They are released together; `ex4d_core/version.py` is the only place that states it."""
    facts = tomllib.loads((plugin / "pyproject.toml").read_text())
    assert facts["project"]["dynamic"] == ["version"]
    assert (plugin / facts["tool"]["hatch"]["version"]["path"]).samefile(CORE / "version.py")
