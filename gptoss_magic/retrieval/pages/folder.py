"""The files of a folder as pages: what the loaders read, with the links between them."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urldefrag

from gptoss_magic.errors import GptOssError, InputError
from gptoss_magic.quoting import printable
from gptoss_magic.retrieval.loaders import HTML, MARKDOWN, read
from gptoss_magic.retrieval.pages.html import html_page, linked, markdown_page, text_page
from gptoss_magic.retrieval.pages.ranked import counted, hit, ranked
from gptoss_magic.retrieval.walk import Found, walk
from gptoss_magic.textfiles import decode

if TYPE_CHECKING:
    from gptoss_magic.records import Snippet, SourcePage

MAX_FILES = 2000
SITE = HTML | MARKDOWN
TITLE = re.compile(r"^#{1,6} +(.+)$", re.MULTILINE)


class FolderPages:
    """A folder that was named: `folder:PATH`, or `site:PATH` for a documentation's pages alone.

    A URL names a file that lies in it now; links and hidden files are passed over. What it read it
    keeps until the file changes. Raises InputError where there is no such folder, or it has too
    many files.
    """

    is_remote = False

    def __init__(self, name: str, path: str | Path, *, is_site: bool = False) -> None:
        self.name, self.is_site = name, is_site
        self.root = Path(path).expanduser().resolve()
        if not self.root.is_dir():
            raise InputError(f"{name}: no such folder")
        scheme = "site" if is_site else "folder"
        self.prefix = f"{scheme}:{name.removeprefix(f'{scheme}:').rstrip('/')}/"
        self._read: dict[str, tuple[tuple[int, int], SourcePage, Counter[str]]] = {}
        if len(self._files()) > MAX_FILES:
            raise InputError(
                f"{name}: more than {MAX_FILES:,} files; index it first: "
                f"%gptoss index {printable(path)} --as NAME, then browser:NAME"
            )

    def owns(self, url: str) -> bool:
        return url.startswith(self.prefix)

    def search(self, query: str, k: int) -> list[Snippet]:
        """Files with most of the query's words, each from the line that has most of them on."""
        files = self._files().items()
        read = [(url, *known) for url, path in files if (known := self._known(url, path))]
        best = ranked(query, [words for *_, words in read], k)
        return [hit(read[place][1], query) for place in best]

    def fetch(self, url: str, *, is_raw: bool = False) -> SourcePage:
        """The page of a file. Raises InputError, MissingPackage."""
        url = self._url(unquote(urldefrag(url).url.removeprefix(self.prefix)))
        path = self._files().get(url)
        if path is None:
            raise InputError(f"{self.name} has no such page")
        if is_raw:
            return text_page(url, path.name, decode(path.read_bytes()).text)
        return self._page(url, path)

    def _files(self) -> dict[str, Path]:
        """What lies in it, by URL."""
        found: dict[str, Path] = {}
        for one in walk(str(self.root)):
            if isinstance(one, Found) and (not self.is_site or one.path.suffix.lower() in SITE):
                found[self._url(one.path.relative_to(self.root).as_posix())] = one.path
                if len(found) > MAX_FILES:
                    break
        return found

    def _url(self, relative: str) -> str:
        return f"{self.prefix}{quote(relative)}"

    def _known(self, url: str, path: Path) -> tuple[SourcePage, Counter[str]] | None:
        """A page and its words; None where the file cannot be read."""
        try:
            page = self._page(url, path)
        except (GptOssError, OSError):
            return None
        return page, self._read[url][2]

    def _page(self, url: str, path: Path) -> SourcePage:
        status = path.stat()
        state = (status.st_mtime_ns, status.st_size)
        known = self._read.get(url)
        if known is None or known[0] != state:
            page = self._made(url, path)
            self._read[url] = known = (state, page, counted(f"{page.title}\n{page.text}"))
        return known[1]

    def _made(self, url: str, path: Path) -> SourcePage:
        data, suffix = path.read_bytes(), path.suffix.lower()
        if suffix in HTML:
            return html_page(url, decode(data).text, "", lambda link: self._linked(url, link))
        document = read(path, str(path), data)
        title = next(iter(TITLE.findall(document.text)), "").strip() or path.name
        if suffix in MARKDOWN:
            return markdown_page(url, title, document.text, lambda link: self._linked(url, link))
        return text_page(url, path.name, document.text)

    def _linked(self, url: str, link: str) -> str:
        """The URL that a page's link leads to: another of these files, or a web page."""
        return linked(link, unquote(url.removeprefix(self.prefix)), self._there)

    def _there(self, relative: str) -> str:
        tries = (relative, f"{relative}.html", posixpath.join(relative, "index.html"))
        return next((self._url(one) for one in tries if (self.root / one).is_file()), "")
