"""Sub-commands that plugins bring: listed without importing them, imported when called, kept apart when wrong."""

import json
import sys
import time

import pytest
import typer

import typer_cli
from ex4d_core.plugins.offers import BUILTIN_COMMANDS

OFFER = """
from ex4d_core.hookspecs import hookimpl
from ex4d_core.provider import Command

@hookimpl
def ex4d_commands():
    return [Command(name="NAME", summary="greet somebody", app="APP")]
"""

FUNCTION = """
from ex4d_core.errors import InvalidInput

def greet(who: str, loud: bool = False):
    '''Greet somebody at once.'''
    if who == "nobody":
        raise InvalidInput("nobody cannot be greeted; name somebody")
    print("HELLO" if loud else "hello", who)
"""

APP = """
import typer

app = typer.Typer()

@app.command()
def one():
    print("one")

@app.command()
def two():
    print("two")
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a distribution that offers a command on the path, as pip would."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(distribution: str, code: str, *, name: str = "greet", target: str = "greet") -> str:
        stem = f"{distribution}_{time.monotonic_ns()}"  # Python keeps what it has imported under a name
        offer = OFFER.replace("NAME", name).replace("APP", f"{stem}_app:{target}")
        (tmp_path / f"{stem}.py").write_text(offer)
        (tmp_path / f"{stem}_app.py").write_text(code)
        info = tmp_path / f"{stem}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[ex4d]\n{distribution} = {stem}\n")
        return f"{stem}_app"

    return write


def test_the_names_that_stay_the_commands_own_are_those_it_has():
    group = typer.main.get_command(typer_cli.app)
    assert set(group.commands) == set(BUILTIN_COMMANDS)


def test_help_lists_it_without_importing_it(ex4d, install):
    module = install("polite", "raise RuntimeError('imported')")
    code, out, _ = ex4d("--help")
    assert code == 0
    assert any("greet" in line and "greet somebody" in line for line in out.splitlines())
    assert module not in sys.modules


def test_a_function_is_called_with_what_typer_reads(ex4d, install):
    install("polite", FUNCTION)
    assert ex4d("greet", "you", "--loud") == (0, "HELLO you\n", "")
    code, out, _ = ex4d("greet", "--help")
    assert code == 0
    assert "Greet somebody at once" in out
    assert "--install-completion" not in out
    assert ex4d("greet", "-h")[1] == out


def test_an_app_keeps_its_own_commands(ex4d, install):
    install("polite", APP, target="app")
    assert ex4d("greet", "two") == (0, "two\n", "")


def test_an_error_of_ours_in_it_is_one_sentence(ex4d, install):
    install("polite", FUNCTION)
    assert ex4d("greet", "nobody") == (2, "", "error: nobody cannot be greeted; name somebody\n")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import no_such_module_anywhere", "could not be loaded: ModuleNotFoundError"),
        ("import sys; sys.exit(3)", "could not be loaded: SystemExit: 3"),
        ("greeting = 3", "could not be loaded: AttributeError"),
        ("greet = 3", "is neither a Typer app nor a function"),
        ("import typer; greet = typer.Typer()", "is neither a Typer app nor a function"),
    ],
)
def test_one_that_cannot_be_loaded_says_so_when_it_is_called_and_the_rest_works(ex4d, install, code, says):
    install("rude", code)
    exit_code, _, err = ex4d("greet")
    assert (exit_code, says in err, "Traceback" in err) == (2, True, False)
    assert err.strip().endswith("try `pip install --upgrade rude`")
    assert ex4d("plugins", "list")[0] == 0


def test_what_is_printed_while_it_is_imported_goes_to_stderr(ex4d, install):
    install("chatty", "print('good morning')" + FUNCTION)
    assert ex4d("greet", "you") == (0, "hello you\n", "good morning\n")


def test_a_missing_need_is_said_with_the_command_that_brings_it(ex4d, install, tmp_path):
    install("polite", FUNCTION)
    (module,) = tmp_path.glob("polite_*[0-9].py")
    module.write_text(module.read_text().replace('summary="', 'requires=("no_such_module_anywhere",), summary="'))
    code, _, err = ex4d("greet", "you")
    assert code == 2
    assert "the command 'greet' requires no_such_module_anywhere, which is not installed; run: pip install" in err


def test_two_of_one_name_are_called_by_their_full_names(ex4d, install):
    install("first", FUNCTION)
    install("second", FUNCTION.replace("hello", "goodbye"))
    assert ex4d("greet@second", "you")[1] == "goodbye you\n"
    assert ex4d("greet@first", "you")[1] == "hello you\n"
    code, _, err = ex4d("greet", "you")
    assert code == 2
    assert "No such command 'greet'" in err
    assert "greet@first" in err
    (remark,) = json.loads(ex4d("plugins", "list", "--json")[1])["problems"]
    assert (remark["plugin"], remark["disabled"]) == ("second", False)
    assert remark["error"] == "first has a command 'greet' too; use the name greet@second"


def test_the_name_of_a_built_in_command_stays_its_own(ex4d, install):
    install("greedy", FUNCTION, name="doctor")
    assert "greet" not in ex4d("doctor", "--help")[1]
    assert ex4d("doctor@greedy", "you")[1] == "hello you\n"
    (remark,) = json.loads(ex4d("plugins", "list", "--json")[1])["problems"]
    assert remark["error"] == "ex4d has a command 'doctor' too; use the name doctor@greedy"
    assert remark["next_step"] == "ex4d plugins show doctor"


def test_what_is_no_list_of_commands_leaves_the_plugin_out(ex4d, install, tmp_path):
    install("rude", FUNCTION)
    (module,) = tmp_path.glob("rude_*[0-9].py")
    module.write_text(module.read_text().replace("return [", "return 7; return ["))
    code, _, err = ex4d("greet", "you")
    assert code == 2
    assert "plugin 'rude' (rude 1.0) is disabled: TypeError: ex4d_commands must return a list of Command, not 7" in err
    assert "No such command 'greet'" in err


def test_a_typo_names_it(ex4d, install):
    install("polite", FUNCTION)
    assert "Did you mean 'greet'?" in ex4d("gret", "you")[2]


def test_plugins_list_and_show_have_it(ex4d, install):
    install("polite", FUNCTION)
    assert any("ex4d greet" in line and "polite 1.0" in line for line in ex4d("plugins", "list")[1].splitlines())
    (command,) = [c for c in json.loads(ex4d("plugins", "list", "--json")[1])["commands"] if c["name"] == "greet"]
    assert (command["distribution"], command["missing"]) == ("polite", [])
    for name in ("greet", "polite"):
        out = ex4d("plugins", "show", name)[1]
        assert "command greet: greet somebody" in out
        assert "options: run `ex4d greet --help`" in out


def test_it_has_no_contract_to_check(ex4d, install):
    install("polite", FUNCTION)
    code, _, err = ex4d("plugins", "check", "polite")
    assert (code, "'polite' offers commands only" in err) == (2, True)


def test_a_built_in_command_looks_for_no_plugins(ex4d, monkeypatch):
    monkeypatch.delattr("ex4d_core.plugins.discovery.find_plugins")
    assert ex4d("depth", "--help")[0] == 0


def test_a_clip_in_the_place_of_the_command_is_refused_with_the_command(ex4d, small_clip):
    code, _, err = ex4d(small_clip.video, "--cam", "30")
    assert code == 2
    assert f"is not a command; to run a clip: ex4d run {small_clip.video} --cam 30" in " ".join(err.split())
