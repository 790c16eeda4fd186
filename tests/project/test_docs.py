"""What the documents show works: their Python runs, their commands are run, their links lead somewhere."""

import glob
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

import typer_cli

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("ex4d_core/*.md"),
        *ROOT.glob("plugins/*/*.md"),
        *ROOT.glob("integrations/*/*.md"),
        *ROOT.glob("examples/*/*.md"),
    ]
)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def numbered(language: str) -> list:
    return [
        pytest.param(block, id=f"{page.relative_to(ROOT)}-{index}")
        for page in PAGES
        for index, block in enumerate(blocks(page, language))
    ]


@pytest.fixture
def desk(tmp_path, monkeypatch, small_clip):
    """A folder as a reader of the documents has it: the repository's example, a clip and depth of their own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "clips").mkdir()
    for name in ("clip.mp4", "clips/a.mp4", "clips/b.mp4"):
        shutil.copy(small_clip.video, tmp_path / name)
    np.savez(tmp_path / "depth.npz", depth=np.load(small_clip.depth))
    return tmp_path


# A page of a plugin shows parts of a module, such as a function that a decorator of that module takes.
@pytest.mark.parametrize("block", [p for p in numbered("python") if not p.id.startswith("plugins/")])
def test_python_in_the_documents_runs(desk, block):
    exec(compile(block, "<document>", "exec"), {"__name__": "document"})


def commands() -> list:
    """Lines of shell blocks that call ex4d, without their comments."""
    return [
        pytest.param(shlex.split(line.partition(" #")[0]), id=line.strip()[:60])
        for page in PAGES
        for block in blocks(page, "bash")
        for line in block.splitlines()
        if re.match(r"(\.venv/bin/)?ex4d ", line)
    ]


@pytest.mark.parametrize("words", commands())
def test_commands_in_the_documents_run(desk, words):
    spread = [path for word in words[1:] for path in (sorted(glob.glob(word)) if "*" in word else [word])]
    with pytest.raises(SystemExit) as exit_:
        typer_cli.main(spread)
    assert not exit_.value.code


def test_there_are_commands_to_run():
    assert len(commands()) >= 2


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_command_is_in_the_readme():
    readme = (ROOT / "README.md").read_text()
    names = [command.callback.__name__ for command in typer_cli.app.registered_commands]
    assert [name for name in names if f"ex4d {name}" not in readme] == []
