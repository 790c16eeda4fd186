"""Plugins are found one by one; a broken one is a record and the rest works."""

import uuid
from pathlib import Path

import attrs
import pytest

from ex4d_core import hookspecs
from ex4d_core.distributions import upgrade_command
from ex4d_core.errors import ComponentNotFound, InvalidConfig, PluginFailed
from ex4d_core.pipeline.session import Session
from ex4d_core.plugins.discovery import HOOKS, Plugins, find_plugins
from ex4d_core.plugins.registry import Registry
from ex4d_core.roles import ROLES
from tests.helpers.estimators import with_estimators

GOOD = """
import attrs
from ex4d_core.hookspecs import hookimpl
from ex4d_core.provider import Provider

@attrs.frozen
class Options:
    steps: int = 5

@hookimpl
def ex4d_depth_estimators():
    return [Provider(name="NAME", summary="s", license="MIT", component="nowhere_at_all:Class", options=Options)]
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a distribution with one plugin on the path, as pip would."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name: str, code: str, requires: str = "ex4d-core>=0.1", component: str = "mine") -> None:
        module = f"ex4d_test_{name}_{uuid.uuid4().hex}"  # Python keeps what it has imported under a name
        (tmp_path / f"{module}.py").write_text(code.replace("NAME", component))
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}-dist\nVersion: 1.0\nRequires-Dist: {requires}\n"
        )
        (info / "entry_points.txt").write_text(f"[ex4d]\n{name} = {module}\n")

    return write


def problem_of(plugins: Plugins, name: str):
    return next(problem for problem in plugins.problems if problem.source.plugin == name)


def test_the_built_in_components_are_listed_as_such():
    builtin = {(offer.role, offer.name) for offer in find_plugins().offers if offer.builtin}
    assert {("depth", "file"), ("mesh", "watertight"), ("renderer", "zbuffer"), ("backbone", "telea")} <= builtin


def test_every_hook_is_asked():
    assert {name for name in vars(hookspecs) if name.startswith("ex4d_")} == set(HOOKS)


def test_a_plugin_on_the_path_is_found(install):
    install("good", GOOD)
    offer = Registry(find_plugins()).find("depth", "mine")
    assert (offer.source.distribution, offer.source.version, offer.builtin) == ("good-dist", "1.0", False)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import no_such_module_anywhere", "No module named 'no_such_module_anywhere'"),
        (GOOD.replace("ex4d_depth_estimators", "ex4d_depth_estimator"), "ex4d_depth_estimator"),
        (GOOD.replace("return [", "raise KeyError('boom'); return ["), "boom"),
        (GOOD.replace("return [", "return 7; return ["), "must return a list of Provider, not 7"),
        (GOOD.replace("ex4d_depth_estimators()", "ex4d_depth_estimators(video)"), "video"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("this is no python", "SyntaxError"),
        ("class Stop(BaseException): pass\nraise Stop", "Stop"),
        (GOOD.replace("@hookimpl", ""), "has no function marked with @hookimpl"),
        (GOOD.replace("[Provider(", "2 * [Provider("), "offers 'mine' more than once"),
    ],
)
def test_a_broken_plugin_is_a_problem_and_the_rest_works(install, code, says):
    install("broken", code)
    install("good", GOOD)
    plugins = find_plugins()
    problem = problem_of(plugins, "broken")
    assert says in problem.error
    assert problem.next_step.startswith("pip install")
    assert "mine" in [offer.name for offer in plugins.offers]


@pytest.mark.parametrize(
    ("code", "next_step"),
    [
        ("import ex4d_core.no_such_part", upgrade_command("broken-dist", "ex4d-core")),
        ("from ex4d_core.errors import PluginFailed; raise PluginFailed('x')", "pip install --upgrade broken-dist"),
    ],
)
def test_the_next_command_fits_the_fault(install, code, next_step):
    install("broken", code)
    assert problem_of(find_plugins(), "broken").next_step == next_step


@pytest.mark.parametrize("requires", ["ex4d-core-extras>=99", "ex4d-core>=99; extra == 'test'", "ex4d.core >=0.1"])
def test_only_what_a_plugin_asks_of_the_core_itself_counts(install, requires):
    install("good", GOOD, requires=requires)
    assert "mine" in [offer.name for offer in find_plugins().offers]


def test_a_plugin_for_another_core_is_not_even_imported(install):
    install("newer", "raise RuntimeError('imported')", requires="ex4d-core>=99")
    problem = problem_of(find_plugins(), "newer")
    assert "it requires ex4d-core>=99" in problem.error
    assert problem.next_step == upgrade_command("newer-dist", "ex4d-core")


def test_what_a_plugin_prints_does_not_reach_stdout(install, capsys):
    install("loud", "print('hello')\n" + GOOD)
    find_plugins()
    assert capsys.readouterr().out == ""


def test_a_disabled_plugin_is_left_out(install, monkeypatch):
    install("good", GOOD)
    monkeypatch.setenv("EX4D_DISABLE_PLUGINS", "other, good")
    assert "mine" not in [offer.name for offer in find_plugins().offers]


def test_two_components_of_one_name_must_be_told_apart(install):
    install("good", GOOD)
    install("twin", GOOD)
    registry = Registry(find_plugins())
    with pytest.raises(InvalidConfig, match="use mine@good-dist or mine@twin-dist"):
        registry.find("depth", "mine")
    assert registry.find("depth", "mine@twin-dist").source.distribution == "twin-dist"


def test_a_plugin_never_takes_the_name_of_a_built_in_component(install):
    install("twin", GOOD.replace("depth_estimators", "renderers"), component="torch")
    registry = Registry(find_plugins())
    assert registry.find("renderer", "torch").builtin
    assert registry.find("renderer", "torch@twin-dist").source.distribution == "twin-dist"
    assert registry.choose("renderer", "cpu").offer.name == "zbuffer"  # the built-in torch is for GPUs


def test_an_alias_finds_its_component_unless_another_has_the_name(install):
    words = "'pan_up': {'steps': 3}, 'orbit': {}"
    code = GOOD.replace("depth_estimators", "trajectory_generators")
    install("mine", code.replace('"MIT"', f'"MIT", aliases={{{words}}}'), component="climb")
    registry = Registry(find_plugins())
    assert [registry.find("trajectory", word).name for word in ("pan_up", "orbit")] == ["climb", "orbit"]
    assert registry.find("trajectory", "pan_up").alias_options("pan_up") == {"steps": 3}
    assert registry.find("trajectory", "orbit@mine-dist").name == "climb"
    assert "use the name orbit@" in registry.plugins.problems[0].error
    with pytest.raises(ComponentNotFound, match="did you mean 'pan_up'"):
        registry.find("trajectory", "panup")


def test_auto_does_not_guess_which_of_two_plugins_is_meant(install):
    for name in ("one", "other"):
        install(name, GOOD.replace("depth_estimators", "backbones").replace('MIT"', 'MIT", auto=20'), component="wan")
    choice = Registry(find_plugins(disabled=["wan", "vace"])).choose("backbone", "cuda")
    assert (choice.offer.name, choice.rejected) == (
        "inpaint",
        ("wan is offered by several plugins (use wan@one-dist or wan@other-dist)",),
    )


def test_auto_takes_the_component_of_the_highest_priority_whoever_offers_it(install):
    for name, auto in (("low", 1), ("best", 99), ("never", None)):
        code = GOOD.replace("depth_estimators", "backbones").replace('"MIT"', f'"MIT", auto={auto}')
        install(name, code, component=name)
    found = find_plugins()
    assert Registry(found).choose("backbone", "cpu").offer.name == "best"
    without_best = attrs.evolve(found, offers=tuple(o for o in found.offers if o.name in ("low", "never")))
    assert Registry(without_best).choose("backbone", "cpu").offer.name == "low"


def test_the_plugins_of_this_repository_are_tried_in_this_order():
    found = Registry()
    order = {role: found.auto_names(role) for role in ROLES}
    assert order == {
        "depth": ["depthcrafter", "da3", "vda", "transformers", "sketch"],
        "mesh": ["watertight"],
        "trajectory": [],
        "renderer": ["nvdiffrast", "torch", "zbuffer"],
        "backbone": ["wan", "vace", "inpaint", "telea"],
    }


def test_a_name_that_two_plugins_use_is_a_remark(install):
    install("good", GOOD)
    install("twin", GOOD)
    remark = problem_of(find_plugins(), "twin")
    assert (remark.disabled, remark.next_step) == (False, "ex4d plugins show mine")
    assert remark.sentence().startswith(
        "plugin 'twin' (twin-dist 1.0) works with a warning: good-dist has a depth 'mine' too"
    )


def test_an_unknown_component_names_the_nearest():
    with pytest.raises(ComponentNotFound, match="unknown renderer 'zbufer'; did you mean 'zbuffer'"):
        Registry().find("renderer", "zbufer")


def test_asking_for_a_broken_plugin_says_what_is_wrong_with_it(install):
    install("broken", "raise RuntimeError('boom')")
    with pytest.raises(PluginFailed, match="RuntimeError: boom; try: pip install --upgrade broken-dist"):
        Registry(find_plugins()).find("depth", "broken")


def test_a_component_that_cannot_be_imported_says_so(install):
    install("good", GOOD)
    with pytest.raises(PluginFailed, match=r"'mine' of good-dist 1\.0 could not be loaded: ModuleNotFoundError"):
        Registry(find_plugins()).find("depth", "mine").load()


def test_a_component_that_ends_the_interpreter_when_it_is_imported_is_an_error(install, tmp_path):
    (tmp_path / "leaves_for_good.py").write_text("import sys; sys.exit(3)")
    install("good", GOOD.replace("nowhere_at_all", "leaves_for_good"))
    with pytest.raises(PluginFailed, match="could not be loaded: SystemExit: 3"):
        Registry(find_plugins()).find("depth", "mine").load()


def test_a_component_with_missing_needs_names_them(install):
    install("good", GOOD.replace('license="MIT"', 'license="MIT", requires=("no_such_module_anywhere",)'))
    with pytest.raises(PluginFailed, match=r"which is not installed .license: MIT.; run: pip install no_such_module"):
        Registry(find_plugins()).find("depth", "mine").load()


@pytest.mark.parametrize("need", ["no_such_module_anywhere", "no_such_module_anywhere.sub"])
def test_a_missing_need_is_said_and_not_raised(install, need):
    install("good", GOOD.replace('license="MIT"', f'license="MIT", requires=("{need}",)'))
    assert Registry(find_plugins()).find("depth", "mine").missing_requirements() == (need,)


def test_options_that_are_no_attrs_class_are_a_problem(install):
    install("broken", GOOD.replace("options=Options", "options=dict"))
    assert "options must be an attrs class" in problem_of(find_plugins(), "broken").error


def test_auto_takes_the_best_that_works_here():
    assert Registry().choose("backbone", "cpu").offer.name == "inpaint"


def test_auto_without_a_candidate_lists_what_can_be_named():
    with pytest.raises(ComponentNotFound, match=r"pass --depth-file FILE or --depth NAME \(installed: .*file"):
        Registry(with_estimators()).choose("depth", "cpu")


def test_nothing_in_the_core_imports_a_plugin():
    core = Path(__file__).parents[2] / "ex4d_core"
    plugins = [folder.name for folder in (Path(__file__).parents[2] / "plugins").glob("*/src/*") if folder.is_dir()]
    assert plugins
    for file in core.rglob("*.py"):
        text = file.read_text()
        assert not any(f"import {name}" in text or f"from {name}" in text for name in plugins), file


def test_free_components_only():
    def session(**settings):
        return Session(free=True, device="cpu", **settings)

    restricted = Registry().find("depth", "depthcrafter")
    assert session()._restricts_use(restricted)
    assert not session()._restricts_use(Registry().find("depth", "da3"))
    assert session(depth={"model": "da3-large"})._restricts_use(Registry().find("depth", "da3"))
    assert not session()._restricts_use(Registry().find("depth", "vda"))
    assert session(depth={"model": "vda-large"})._restricts_use(Registry().find("depth", "vda"))
    choice = Registry().choose("depth", "cuda", restricts_use=session()._restricts_use)
    assert choice.offer.name != "depthcrafter"
    with pytest.raises(InvalidConfig, match=r"depth depthcrafter restricts the use of results .*omit --free"):
        session(depth="depthcrafter").choose("depth")
