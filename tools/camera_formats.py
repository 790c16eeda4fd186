"""Write the table of camera file formats into docs/cameras.md, from the records of the formats.

Run it as `.venv/bin/python tools/camera_formats.py`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ex4d_core.cameras.files import FORMATS

PAGE = Path(__file__).parent.parent / "docs" / "cameras.md"
PLACE = re.compile(r"(<!-- formats: .*? -->\n).*?(<!-- end of formats -->)", re.DOTALL)


def rows() -> Iterator[tuple[str, ...]]:
    """Yield the table's rows."""
    yield "format", "files", "matrices", "world", "intrinsics", "written"
    yield ("---",) * 6
    for kind in FORMATS.values():
        yield (
            f"`{kind.name}`",
            kind.files,
            kind.convention or "declared",
            kind.world,
            kind.lens,
            f"`{kind.suffix or 'folder'}`" if kind.write else "",
        )


def with_table(page: str) -> str:
    """Return the page with its table made anew."""
    table = "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows())
    return PLACE.sub(lambda place: f"{place[1]}{table}{place[2]}", page)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
