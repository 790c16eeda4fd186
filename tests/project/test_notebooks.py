"""The notebooks run from beginning to end, and what they end cells with can be shown."""

import ast
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))


def run_cell(source: str, names: dict) -> object:
    """Run the code of a cell; return the value of its last line, which a notebook shows."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<cell>", "exec"), names)
    return eval(compile(ast.Expression(last.value), "<cell>", "eval"), names) if last else None


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(notebook, tmp_path, monkeypatch, capsys):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "room").symlink_to(ROOT / "examples" / "room")
    monkeypatch.chdir(tmp_path / "notebooks")
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    assert not any(cell.get("outputs") for cell in cells)
    names: dict = {"__name__": "__main__"}
    shown = [run_cell("".join(cell["source"]), names) for cell in cells if cell["cell_type"] == "code"]
    pages = [value._repr_html_() for value in shown if value is not None]
    assert [page.split()[0].strip("<").partition(">")[0] for page in pages] == ["video", "video", "video", "table"]
    out = capsys.readouterr().out
    assert "of the last frame is visible" in out
    assert "make gray frames colored" in out
    assert "float32 [T, H, W] along +z" in out
    assert "'mesh.min_angle': '1'" in out
