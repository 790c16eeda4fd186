"""The table of camera formats in the documentation follows the records of the formats."""

import runpy
from pathlib import Path

from ex4d_core.cameras.files import FORMATS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "cameras.md").read_text()


def test_the_table_of_formats_is_made_from_their_records():
    assert runpy.run_path(str(ROOT / "tools" / "camera_formats.py"))["with_table"](PAGE) == PAGE, (
        "type: .venv/bin/python tools/camera_formats.py"
    )
    assert all(f"| `{name}` |" in PAGE for name in FORMATS)


def test_formats_are_recognized_by_one_kind_of_file_at_least_and_named_once():
    assert all(kind.kinds and kind.files for kind in FORMATS.values())
    assert list(FORMATS)[:2] == ["blender", "colmap"], "formats that are written come first"
