"""What `auto` takes, what it says of it, and what a component says to options that it does not have."""

import attrs
import pytest

import ex4d_core as ex4d
from ex4d_core.errors import InvalidConfig
from ex4d_core.plugins.registry import Registry
from tests.helpers.backbones import STEPWISE, WAN, plugins_with

NO_WEIGHTS = "wan requires weights (type ex4d fetch wan)"


@pytest.fixture
def session(small_clip):
    def make(*providers, **backbone):
        return ex4d.Session(
            depth={"name": "file", "path": str(small_clip.depth)},
            backbone=backbone,
            device="cpu",
            registry=Registry(plugins_with(*providers)),
        )

    return make


@pytest.fixture
def notes_of(small_clip):
    def run(session):
        notes = []
        session.reporter.note = notes.append
        session.run(small_clip.video, cam="30")
        return [note for note in notes if note.startswith("backbone")]

    return run


def test_auto_takes_the_preview_where_the_weights_are_not_here_and_says_why(session, notes_of):
    (note,) = notes_of(session(WAN))
    assert note.startswith("backbone: inpaint (")
    assert f"; {NO_WEIGHTS}" in note


def test_auto_takes_the_model_whose_weights_are_here(session, notes_of, tmp_path):
    assert notes_of(session(WAN, model=str(tmp_path))) == [
        "backbone: wan (for tests), on cpu; its weights are on this machine"
    ]


def test_auto_takes_no_model_that_needs_a_gpu_where_there_is_none(session, notes_of):
    (note,) = notes_of(session(attrs.evolve(WAN, devices=("cuda",))))
    assert note.startswith("backbone: inpaint (")
    assert "; wan is for cuda" in note


def test_where_nothing_else_would_do_auto_takes_what_lacks_its_weights():
    """Using it then says how to get them."""
    found = plugins_with(WAN)
    without_preview = attrs.evolve(found, offers=tuple(o for o in found.offers if o.name not in ("inpaint", "telea")))
    choice = Registry(without_preview).choose("backbone", "cpu", lacks_weights=lambda offer: offer.name == "wan")
    assert (choice.offer.name, choice.rejected) == ("wan", ())


def test_an_option_that_a_component_lacks_names_the_component(session):
    with pytest.raises(InvalidConfig, match=r"^the backbone 'stepwise' has no option memroy; did you mean 'memory'"):
        session(STEPWISE, name="stepwise", memroy="12").check("backbone")


def test_an_option_that_the_choice_of_auto_lacks_says_why_it_was_chosen(session):
    with pytest.raises(InvalidConfig) as error:
        session(WAN, memory="12").check("backbone")
    assert str(error.value).startswith("the backbone 'inpaint' has no option memory; known: ")
    assert f"; it was selected because {NO_WEIGHTS}" in str(error.value)


def test_an_option_of_another_component_names_that_component(small_clip):
    session = ex4d.Session(depth={"kind": "inverse"}, device="cpu", registry=Registry(plugins_with()))
    with pytest.raises(InvalidConfig, match=r"has no option kind.*; kind is an option of file( and|, which)"):
        session.check("depth")


def test_a_slip_in_an_option_does_not_change_what_auto_takes(session, tmp_path):
    with pytest.raises(InvalidConfig, match="the backbone 'wan' has no option stepz; did you mean 'steps'"):
        session(WAN, model=str(tmp_path), stepz=3).check("backbone")


FILL_FLAGS = ("--gpu-memory", "12", "--speed", "fast", "--gpus", "2", "--preview-every", "3", "--seed", "7")


@pytest.fixture
def stepwise_installed(monkeypatch):
    monkeypatch.setattr("ex4d_core.plugins.registry.find_plugins", lambda: plugins_with(STEPWISE))


@pytest.mark.usefixtures("stepwise_installed")
def test_flags_of_the_last_stage_are_options_of_the_backbone(ex4d, small_clip, tmp_path):
    code, _, err = ex4d(
        *("run", small_clip.video, "--depth-file", small_clip.depth, "--cam", "30"),
        *("--backbone", "stepwise", *FILL_FLAGS),
    )
    assert code == 0, err
    config = (tmp_path / "outputs" / "clip" / "config.toml").read_text()
    for line in ('memory = "12"', 'speed = "fast"', "gpus = 2", "preview_every = 3"):
        assert line in config
    assert (tmp_path / "outputs" / "clip" / "preview_30.mp4").exists()
    code, _, err = ex4d(
        *("generate", "--color_video", "outputs/clip/color_30.mp4", "--mask_video", "outputs/clip/mask_30.mp4"),
        *("--output_video", "out.mp4", "--backbone", "stepwise", *FILL_FLAGS),
    )
    assert code == 0, err
    assert (tmp_path / "out_preview.mp4").exists()


@pytest.mark.usefixtures("stepwise_installed")
def test_ctrl_c_while_the_backbone_works_says_that_the_same_command_goes_on(ex4d, small_clip, tmp_path):
    run = ("run", small_clip.video, "--depth-file", small_clip.depth, "--cam", "30", "--backbone", "stepwise")
    code, _, err = ex4d(*run, "--set", "backbone.stop_at=3")
    assert code == 130
    assert "result: partial results saved; run again to resume" in err
    assert "interrupted; run the same command again" in err
    code, _, err = ex4d(*run)
    assert code == 0, err


@pytest.mark.parametrize(
    ("flag", "option"),
    [("--gpu-memory", "memory"), ("--speed", "speed"), ("--gpus", "gpus"), ("--preview-every", "preview_every")],
)
def test_a_flag_that_the_backbone_does_not_have_is_one_sentence(ex4d, small_clip, flag, option):
    arguments = ("run", small_clip.video, "--depth-file", small_clip.depth, "--backbone", "inpaint", flag, "1")
    code, _, err = ex4d(*arguments)
    assert code == 2
    assert err.startswith(f"error: the backbone 'inpaint' has no option {option}; known: ")
