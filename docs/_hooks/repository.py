"""Build pages from files elsewhere in the repository, and point links at those pages.

Links are written relative to the file that contains them, so that they also work where the repository is browsed. In
the site a link to a file that has a page becomes a link to that page. A link to any other file of the repository
becomes a link below `repo_url`, or plain text where `repo_url` is not set.
"""

import posixpath
import re
import tomllib
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from ex4d_core.depth_io.tools import format_table

ROOT = Path(__file__).parents[2]

GENERATED = {
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "benchmarks/details.md",
    "examples/third_party_plugin/README.md": "plugins/third_party_example.md",
    **{
        readme.relative_to(ROOT).as_posix(): f"plugins/{readme.parent.name}.md"
        for readme in sorted(ROOT.glob("plugins/*/README.md"))
    },
}
"""Files of the repository that are pages as they are, and the names of those pages."""

STANDS_FOR = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "README.md": "index.md",
    "ex4d_core/README.md": "architecture.md",
    **GENERATED,
}
"""The page to link to in place of a file."""

SOURCE_OF = {page: source for source, page in GENERATED.items()}
IMAGES = {".png", ".jpg", ".svg", ".gif"}
LAYERS = "<!-- layers -->"
DEPTH_TOOLS = "<!-- depth tools -->"
INCLUDE = re.compile(r"^<!-- include: (\S+) -->$", re.MULTILINE)
LINK = re.compile(r"(?P<bang>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
CODE = re.compile(r"(^(?P<fence>`{3,})[^\n]*\n.*?^(?P=fence)[ ]*$|(?<!`)`[^`\n]+`(?!`))", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages and the images that they show."""
    for source, page in GENERATED.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
        for link in LINK.finditer(text):
            image = _in_repository(source, link["target"].partition("#")[0])
            if link["bang"] and image and not image.startswith("docs/"):
                files.append(File.generated(config, _image_page(image), abs_src_path=str(ROOT / image)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Insert included files, and rewrite the links of the page."""
    own = page.file.src_uri
    text = _with_links(markdown, source=SOURCE_OF.get(own, f"docs/{own}"), page=own, config=config)

    def included(match: re.Match[str]) -> str:
        content = (ROOT / match[1]).read_text(encoding="utf-8")
        return _with_links(content, source=match[1], page=own, config=config)

    generated = text.replace(LAYERS, _layers())
    if DEPTH_TOOLS in generated:
        generated = generated.replace(DEPTH_TOOLS, format_table())
    return INCLUDE.sub(included, generated)


def _layers() -> str:
    """Return the layers contract of `pyproject.toml` as a table, the top layer first."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (layers,) = [
        contract["layers"] for contract in project["tool"]["importlinter"]["contracts"] if contract["type"] == "layers"
    ]
    rows = [" ".join(f"`{module.strip()}`" for module in re.split(r"[:|]", layer)) for layer in layers]
    return "\n".join(["| layer | modules |", "|---|---|", *(f"| {n} | {row} |" for n, row in enumerate(rows, 1))])


def _with_links(text: str, *, source: str, page: str, config: MkDocsConfig) -> str:
    """Return the text of `source` with links that work on `page`; code stays as it is."""

    def rewritten(link: re.Match[str]) -> str:
        target, hash_, fragment = link["target"].partition("#")
        path = _in_repository(source, target)
        if path is None:
            return link[0]
        place = _page_of(path)
        if place is not None:
            relative = posixpath.relpath(place, posixpath.dirname(page) or ".")
            return f"{link['bang']}[{link['text']}]({relative}{hash_}{fragment})"
        if config.repo_url:
            return f"[{link['text']}]({config.repo_url.rstrip('/')}/blob/HEAD/{path}{hash_}{fragment})"
        return link["text"]

    # A link's text may be code, so spans of code are only skipped where they hold a whole link.
    kept: list[str] = []

    def keep(match: re.Match[str]) -> str:
        if not match["fence"] and not LINK.search(match[0]):
            return match[0]
        kept.append(match[0])
        return f"\0{len(kept) - 1}\0"

    return re.sub(r"\0(\d+)\0", lambda m: kept[int(m[1])], LINK.sub(rewritten, CODE.sub(keep, text)))


def _in_repository(source: str, target: str) -> str | None:
    """Return the path in the repository that a relative link of `source` leads to, or None for any other link."""
    if not target or re.match(r"[a-z]+:|/", target):
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), target))


def _page_of(path: str) -> str | None:
    """Return the page or image of the site that stands for a file of the repository."""
    if path in STANDS_FOR:
        return STANDS_FOR[path]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if Path(path).suffix in IMAGES:
        return _image_page(path)
    return None


def _image_page(path: str) -> str:
    return f"images/{path.replace('/', '-')}"
