"""Hooks of mkdocs: pages of the README, the model cards and their like; links; docstrings.

Documents link one another by their paths in the repository, so that they can be read there. Here
such a link leads to the document's page, and to nothing where it has none (code, presets).
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from griffe import Class, Extension, Function
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]

# Page of each document outside of docs/.
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "data/README.md": "data.md",
    "data/in_training/chairs/README.md": "models/chairs-in-training.md",
} | {
    card.relative_to(ROOT).as_posix(): f"models/{card.parent.name}.md"
    for card in sorted(ROOT.glob("data/pretrained/*/README.md"))
}
DOCUMENTS = {page: document for document, page in PAGES.items()}

_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")
_JOINT = re.compile(r"^( +)(\w+(?:, \w+)+)(: .*(?:\n\1 +.*)*)", re.MULTILINE)
_SECTION = re.compile(r"(?<!\n)\n(?=(?:Raises|Returns|Warns|Yields):\n)")
_ROLE = re.compile(r":(?:class|func|meth|attr|mod):<code>")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the documents that lie elsewhere."""
    for document, page in PAGES.items():
        text = (ROOT / document).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links of the repository become links of the site; what is broken stays, and is reported."""
    uri = page.file.src_uri
    document = DOCUMENTS.get(uri, f"docs/{uri}")

    def replace(match: re.Match[str]) -> str:
        image, words, target, anchor = match.groups()
        path = posixpath.normpath(posixpath.join(posixpath.dirname(document), target))
        if "://" in target or not (ROOT / path).exists():
            return match.group(0)
        where = PAGES.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else "")
        if not where:
            return words
        link = posixpath.relpath(where, posixpath.dirname(uri) or ".")
        return f"{image}[{words}]({link}{anchor or ''})"

    return _LINK.sub(replace, markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Sphinx's roles in docstrings, without their names."""
    return _ROLE.sub("<code>", html)


class Docstrings(Extension):
    """Our docstrings as the parser wants them: an entry for each of ``first, second: what they
    are``, and an empty line before each section."""

    def on_function_instance(self, *, func: Function, **kwargs: object) -> None:
        _rewrite(func)

    def on_class_instance(self, *, cls: Class, **kwargs: object) -> None:
        _rewrite(cls)


def _rewrite(described: Class | Function) -> None:
    def each(match: re.Match[str]) -> str:
        indent, names, text = match.groups()
        return "\n".join(f"{indent}{name}{text}" for name in names.split(", "))

    if described.docstring is not None:
        text = _SECTION.sub("\n\n", described.docstring.value)
        described.docstring.value = _JOINT.sub(each, text)
