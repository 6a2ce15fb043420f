"""What mkdocs calls while it builds the site: pages made of the code, and the notebooks' outputs.

mkdocs.yml names this file. A page that is made here has no file below docs/.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from mkdocs.structure.files import File  # noqa: E402

from tools.docs_site.api_pages import api_pages  # noqa: E402
from tools.docs_site.magic_pages import magic_pages  # noqa: E402
from tools.docs_site.record_pages import record_pages  # noqa: E402
from tools.docs_site.tutorials import tutorial_pages  # noqa: E402

OUTPUTS: dict[str, dict[str, str]] = {}
PAGES: dict[str, str] = {}
FOREIGN = re.compile(r'<script[^>]*src="https?://[^"]*"[^>]*></script>')


def generated() -> dict[str, str]:
    """{address below docs: Markdown} of every page that has no file."""
    if not PAGES:
        tutorials, outputs = tutorial_pages()
        OUTPUTS.update(outputs)
        PAGES.update({**tutorials, **magic_pages(), **api_pages(), **record_pages()})
    return PAGES


def on_config(config: Any) -> Any:
    """The navigation: `FOLDER/*` in mkdocs.yml stands for the pages that are made for that folder,
    `*` for those below docs/ that it names nowhere.
    """
    named = set(_named(config.nav))
    docs = Path(config.docs_dir)
    written = sorted(str(path.relative_to(docs)) for path in docs.rglob("*.md"))
    config.nav = _filled(config.nav, [uri for uri in written if uri not in named])
    return config


def _named(nav: Any) -> Iterator[str]:
    """The addresses in a navigation."""
    if isinstance(nav, str):
        yield nav
        return
    for entry in nav.values() if isinstance(nav, dict) else nav:
        yield from _named(entry)


def _filled(entries: list[Any], rest: list[str]) -> list[Any]:
    filled: list[Any] = []
    for entry in entries:
        title, value = next(iter(entry.items())) if isinstance(entry, dict) else ("", entry)
        if isinstance(value, list):
            filled.append({title: _filled(value, rest)})
        elif value == "*":
            filled += rest
        elif value.endswith("/*"):
            filled.append({title: _listed(value.removesuffix("/*"))})
        else:
            filled.append(entry)
    return filled


def _listed(folder: str) -> list[str]:
    """The pages of a folder: the one of all first, the others as they were made."""
    found = [uri for uri in generated() if uri.startswith(f"{folder}/")]
    return sorted(found, key=lambda uri: not uri.endswith("/index.md"))


def on_files(files: Any, config: Any) -> Any:
    """Add what is made."""
    for uri, text in generated().items():
        files.append(File.generated(config, uri, content=text))
    return files


def on_page_content(html: str, page: Any, **_given: Any) -> str:
    """Put each output where its cell is."""
    for place, output in OUTPUTS.get(page.file.src_uri, {}).items():
        html = html.replace(f'<div id="{place}"></div>', output)
    return html


def on_post_page(output: str, **_given: Any) -> str:
    """No page asks the network for a script."""
    return FOREIGN.sub("", output)


def on_post_template(output_content: str, **_given: Any) -> str:
    """Nor does the page for an address that is not there."""
    return FOREIGN.sub("", output_content)
