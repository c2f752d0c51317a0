"""What the site has beside `docs/`: README and its siblings as pages, and the pages of keys and JSON schemas.

MkDocs calls the `on_...` functions by their names (`hooks:` in mkdocs.yml).
"""

from __future__ import annotations

import re
from logging import getLogger
from pathlib import Path

from keys import ROOT
from keys import page as page_of_keys
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from schemas import SCHEMAS
from schemas import page as page_of_schemas

from bios_sweep import defaults

# files beside `docs/` -> where they stand on the site
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
}
API = "api.md"
LINK = re.compile(r"\]\((?:\.\./|docs/)?([\w.-]+\.md)(#[^)]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made here."""
    for source, target in PAGES.items():
        files.append(File.generated(config, target, content=Path(ROOT, source).read_text()))
    files.append(File.generated(config, "keys.md", content=page_of_keys(ROOT / "conf")))
    files.append(File.generated(config, "json.md", content=page_of_schemas()))
    for file in SCHEMAS.glob("*.json"):
        files.append(File.generated(config, f"schemas/{file.name}", content=file.read_text()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links that lead from README into `docs/` and back, as they are on the site: all pages in one folder."""
    return LINK.sub(lambda link: f"]({PAGES.get(link[1], link[1])}{link[2] or ''})", markdown)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """A public function or class that the page of the interface lacks is a warning, and fails a strict build.

    The tool takes a name that a module has too for the module, so those are listed one by one.
    """
    if page.file.src_uri == API:
        for name in defaults.__all__:
            if callable(getattr(defaults, name)) and not re.search(
                rf'id="bios_sweep\.[\w.]*\b{name}"', output
            ):
                getLogger("mkdocs.hooks").warning("docs/%s lacks bios_sweep.defaults.%s", API, name)
    return output
