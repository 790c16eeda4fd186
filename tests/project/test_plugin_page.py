"""The page on plugins says what the code does: hooks, roles, arguments, fields, and who provides what."""

import ast
import inspect
import re
import runpy
from pathlib import Path

import attrs
import pytest

from ex4d_core import hookspecs, roles
from ex4d_core.plugins.discovery import COMMANDS
from ex4d_core.provider import Command, Provider
from ex4d_core.roles import ROLES
from ex4d_core.testing.contracts import CONTRACTS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "plugins.md").read_text()
PROTOCOLS = {name: role.protocol for name, role in ROLES.items()}


def section(title: str) -> str:
    """Return what stands under a heading, up to the next."""
    (text,) = re.findall(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", PAGE, re.DOTALL | re.MULTILINE)
    return text


def table(text: str) -> list[list[str]]:
    """Return the cells of the first table, without its two head lines."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def functions(code: str) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.FunctionDef)]


def signature(function: ast.FunctionDef) -> str:
    return f"{function.name}({ast.unparse(function.args)}) -> {ast.unparse(function.returns)}"


def shown(role: str) -> ast.Module:
    (block,) = re.findall(r"```py\n(.*?)```", section(role), re.DOTALL)
    return ast.parse(block)


def test_every_role_has_a_protocol_and_a_section():
    made = {c for c in vars(roles).values() if getattr(c, "_is_protocol", False) and c.__module__ == roles.__name__}
    headings = re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)
    assert (made, headings) == (set(PROTOCOLS.values()), list(ROLES))


@pytest.mark.parametrize("role", ROLES)
def test_the_hook_is_shown_as_it_is(role):
    (hook,) = functions(inspect.getsource(getattr(hookspecs, ROLES[role].hook)))
    assert signature(hook) in [signature(function) for function in functions(ast.unparse(shown(role)))]


@pytest.mark.parametrize("role", ROLES)
def test_the_roles_methods_are_shown_as_they_are(role):
    (protocol,) = [node for node in shown(role).body if isinstance(node, ast.ClassDef)]
    assert protocol.name == PROTOCOLS[role].__name__
    assert list(map(signature, functions(ast.unparse(protocol)))) == list(
        map(signature, functions(inspect.getsource(PROTOCOLS[role])))
    )


@pytest.mark.parametrize("role", ROLES)
def test_each_argument_is_explained(role):
    (method,) = functions(inspect.getsource(PROTOCOLS[role]))
    names = [argument.arg for argument in (*method.args.args[1:], *method.args.kwonlyargs)]
    assert [name for name, _ in table(section(role))] == [f"`{name}`" for name in names]


@pytest.mark.parametrize(
    ("title", "offer"),
    [("Offering a component", Provider), ("Offering a command", Command)],
    ids=["component", "command"],
)
def test_each_field_of_an_offer_is_explained(title, offer):
    fields = [(f"`{f.name}`", "required" if f.default is attrs.NOTHING else "") for f in attrs.fields(offer)]
    text = section(title).replace("| | ", "|  | ")
    assert [(name, required) for name, required, _ in table(text)] == fields


def test_each_switch_of_a_contract_is_explained():
    shown = {name.strip("`"): set(re.findall(r"`(\w+)`", claims)) for name, claims in table(section("Contracts"))}
    common = {"name", "role", "device"}
    declared = {
        contract.__name__: {name for name in inspect.get_annotations(contract) if name not in common}
        for contract in CONTRACTS.values()
    }
    assert shown == declared


def test_the_hook_for_commands_is_shown_as_it_is():
    (hook,) = functions(inspect.getsource(getattr(hookspecs, COMMANDS)))
    (block,) = re.findall(r"```py\n(.*?)```", section("Offering a command"), re.DOTALL)
    assert signature(hook) in [signature(function) for function in functions(block)]


def test_the_table_of_plugins_is_what_they_say_themselves():
    assert runpy.run_path(str(ROOT / "tools" / "plugin_table.py"))["with_table"](PAGE) == PAGE, (
        "type: .venv/bin/python tools/plugin_table.py"
    )


def test_every_plugin_of_the_repository_is_in_the_table():
    names = runpy.run_path(str(ROOT / "tools" / "plugin_table.py"))["distributions"]()
    assert {row[0].strip("`") for row in table(section("Available plugins"))} == names


def imported_from_the_core(path: Path) -> set[str]:
    """Return the modules of the core that a file imports, below `ex4d_core`; '' is `ex4d_core` itself."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "ex4d_core":
            module = (node.module or "").partition(".")[2]
            modules = {".".join(filter(None, (module, alias.name))) for alias in node.names}
            found |= {
                name for name in modules if (ROOT / "ex4d_core" / name.replace(".", "/")).with_suffix(".py").exists()
            } or {module}
        elif isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[2] for alias in node.names if alias.name.split(".")[0] == "ex4d_core"}
    return found - {""}


@pytest.mark.parametrize(
    "plugin",
    sorted([*(ROOT / "plugins").glob("*/src"), *(ROOT / "integrations").glob("*/ex4d_*")]),
    ids=lambda folder: folder.parent.name,
)
def test_plugins_import_only_what_is_promised(plugin):
    promised = {
        name
        for row in table(PAGE.partition("a test compares the table")[2])
        for name in re.findall(r"`([\w.]+)`", row[0])
    }
    used = {module for path in plugin.rglob("*.py") for module in imported_from_the_core(path)}
    assert used - promised == set()


def test_the_table_of_licenses_is_what_the_plugins_say():
    page = (ROOT / "docs" / "licenses.md").read_text(encoding="utf-8")
    tool = runpy.run_path(str(ROOT / "tools" / "license_table.py"))
    assert tool["with_table"](page) == page, "type: .venv/bin/python tools/license_table.py"
    free = {name: terms for name, _, terms in tool["depths"]()}
    assert free["`sketch`"] == ""
    assert "academic" in free["`depthcrafter`"]
