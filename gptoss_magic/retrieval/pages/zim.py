"""The articles of a ZIM file as pages: Wikipedia and other sites, whole and without a network."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urldefrag

from gptoss_magic.errors import InputError, MissingPackage, error_line
from gptoss_magic.records import Snippet, SourcePage
from gptoss_magic.retrieval.pages.html import html_page, linked, text_page
from gptoss_magic.retrieval.pages.ranked import hit
from gptoss_magic.textfiles import decode

MAX_REDIRECTS, MAX_BYTES, MOST_READ = 8, 20_000_000, 5


class ZimPages:
    """`zim:PATH`: a file that libzim reads; searched by its own index, else by its titles.

    Raises InputError where it is none, MissingPackage.
    """

    is_remote = False

    def __init__(self, name: str, path: str | Path) -> None:
        self.name, self.prefix = name, f"{name}/"
        file = Path(path).expanduser()
        if not file.is_file():
            raise InputError(f"{name}: no such file; give a ZIM file")
        archive = _libzim("reader").Archive
        try:
            self._archive: Any = archive(file)
        except RuntimeError as error:
            raise InputError(
                f"{name}: no ZIM file that can be read ({error_line(error)})"
            ) from error

    def owns(self, url: str) -> bool:
        return url.startswith(self.prefix)

    def search(self, query: str, k: int) -> list[Snippet]:
        """Articles by the file's own full-text index; by their titles where it has none."""
        paths = self._paths(query, k)
        return [self._hit(path, query, is_read=n < MOST_READ) for n, path in enumerate(paths)]

    def fetch(self, url: str, *, is_raw: bool = False) -> SourcePage:
        """An article. Raises InputError."""
        path = unquote(urldefrag(url).url.removeprefix(self.prefix))
        item = self._entry(path).get_item()
        url, kind = self._url(item.path), item.mimetype.partition(";")[0].strip()
        if not (kind.startswith("text/") or kind == "application/xhtml+xml"):
            raise InputError(f"it is {kind or 'of no type'}, no text")
        if item.size > MAX_BYTES:
            raise InputError(f"too large: {item.size:,} bytes")
        text = decode(bytes(item.content)).text
        if is_raw or kind == "text/plain":
            return text_page(url, item.title, text)
        return html_page(url, text, item.title, lambda link: self._linked(item.path, link))

    def _paths(self, query: str, k: int) -> list[str]:
        if self._archive.has_fulltext_index:
            search = _libzim("search")
            asked = search.Searcher(self._archive).search(search.Query().set_query(query))
            return list(asked.getResults(0, k))
        titles = _libzim("suggestion").SuggestionSearcher(self._archive).suggest(query)
        return list(titles.getResults(0, k))

    def _hit(self, path: str, query: str, *, is_read: bool) -> Snippet:
        if is_read:
            with suppress(InputError):
                return hit(self.fetch(self._url(path)), query)
        return Snippet(self._url(path), self._archive.get_entry_by_path(path).title, "")

    def _entry(self, path: str) -> Any:
        """The entry that a path leads to, at the end of its redirects."""
        if not self._archive.has_entry_by_path(path):
            raise InputError(f"{self.name} has no such page")
        entry = self._archive.get_entry_by_path(path)
        for _ in range(MAX_REDIRECTS):
            if not entry.is_redirect:
                return entry
            entry = entry.get_redirect_entry()
        raise InputError("it leads in a circle")

    def _url(self, path: str) -> str:
        return f"{self.prefix}{quote(path)}"

    def _linked(self, here: str, link: str) -> str:
        """The URL that an article's link leads to: another article, or a web page."""
        return linked(link, here, self._there)

    def _there(self, path: str) -> str:
        return self._url(path) if self._archive.has_entry_by_path(path) else ""


def _libzim(module: str) -> Any:
    from importlib import import_module

    try:
        return import_module(f"libzim.{module}")
    except ImportError as error:
        raise MissingPackage("ZIM files need libzim: pip install gptoss_magic[zim]") from error
