"""HTML as a page that a model reads: text with links `【id†words】`, images by their words."""

from __future__ import annotations

import posixpath
import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from gptoss_magic.errors import InputError, MissingPackage
from gptoss_magic.quoting import link_words, page_line, page_lines
from gptoss_magic.records import SourcePage
from gptoss_magic.retrieval.loaders import body_of, page_text

if TYPE_CHECKING:
    from collections.abc import Callable

    Resolve = Callable[[str], str]

MAX_CHARS = 2_000_000
NO_PAGE = ("mailto:", "javascript:", "data:", "tel:")
HOST = re.compile(r"(?:https?://)([^/?#@\s]+)")
MD_LINK = re.compile(r"(?<!!)\[([^\[\]\n]{1,300})\]\(([^()\s]{1,1000})(?: \"[^\"\n]*\")?\)")
FENCE = re.compile(r"(```.*?(?:```|\Z))", re.DOTALL)


@dataclass
class Links:
    """The links of one page. A mark stands in its text as a word that no text can guess, until all
    else was made harmless. One URL has one id.
    """

    url: str
    resolve: Resolve
    ids: dict[str, str] = field(default_factory=dict)
    nonce: str = field(default_factory=lambda: secrets.token_hex(8))

    def mark(self, words: str, link: str) -> str:
        """What stands in the place of a link; its words alone where it leads to no page."""
        words = link_words(words)
        is_page = words and not link.startswith("#") and not link.lower().startswith(NO_PAGE)
        target = self.resolve(link) if is_page else ""
        if not target:
            return words
        number = self.ids.setdefault(target, str(len(self.ids)))
        there = domain(target)
        other = f"†{there}" if there and there != domain(self.url) else ""
        return f"{self.nonce}o{number}†{words}{other}{self.nonce}c"

    def page(self, title: str, text: str, read_at: str = "") -> SourcePage:
        """The page of a text with marks."""
        text = (
            page_lines(text)
            .rstrip()
            .replace(f"{self.nonce}o", "【")
            .replace(f"{self.nonce}c", "】")
        )
        urls = {number: target for target, number in self.ids.items()}
        text = f"\nURL: {page_line(self.url)}\n{text}"
        return SourcePage(self.url, page_line(title), text, urls, read_at=read_at)


def html_page(
    url: str, html: str, title: str = "", resolve: Resolve | None = None, read_at: str = ""
) -> SourcePage:
    """The page of an HTML text. `resolve` gives a link's URL ('' for none); `title` wins over its
    own. Raises InputError for what is too deep to be read, MissingPackage.
    """
    links = Links(url, resolve or (lambda link: joined(url, link)))
    try:
        soup = _soup(html[:MAX_CHARS])
        own = soup.title.get_text() if soup.title else ""
        body = body_of(soup)
        for image in body.find_all("img"):
            words = " ".join(str(image.get("alt") or image.get("title") or "").split())
            image.replace_with(f"[Image: {words}]" if words else "[Image]")
        for anchor in body.find_all("a", href=True):
            anchor.replace_with(links.mark(anchor.get_text(" "), str(anchor["href"]).strip()))
        name = " ".join((title or own or domain(url) or url).split())
        return links.page(name, page_text(body), read_at)
    except RecursionError as error:
        raise InputError("its HTML is nested too deep to be read") from error


def markdown_page(url: str, title: str, text: str, resolve: Resolve) -> SourcePage:
    """The page of a Markdown text: its links are marks, but for those in fenced code."""
    links = Links(url, resolve)
    pieces = FENCE.split(text)
    pieces[::2] = [MD_LINK.sub(lambda found: links.mark(*found.groups()), p) for p in pieces[::2]]
    return links.page(title, "".join(pieces))


def text_page(url: str, title: str, text: str, read_at: str = "") -> SourcePage:
    """The page of a plain text: no mark of it is a link."""
    return Links(url, lambda link: "").page(title, text, read_at)


def joined(base: str, link: str) -> str:
    """A link of a web page as a whole URL; '' for what leads to no page."""
    try:
        url = urljoin(base, link)
        return urldefrag(url).url if urlsplit(url).scheme in ("http", "https") else ""
    except ValueError:
        return ""


def linked(link: str, here: str, url_at: Callable[[str], str]) -> str:
    """The URL that a link of the page at path `here` leads to: a web page, or what `url_at` gives
    for the path beside it; '' for neither.
    """
    try:
        parts = urlsplit(link)
    except ValueError:
        return ""
    if parts.scheme in ("http", "https"):
        return urldefrag(link).url
    if parts.scheme or parts.netloc or not parts.path:
        return ""
    there = posixpath.join("/", posixpath.dirname(here), unquote(parts.path))
    return url_at(posixpath.normpath(there).lstrip("/"))


def domain(url: str) -> str:
    """The host of a web page's URL; '' for any other."""
    found = HOST.match(url)
    return link_words(found[1]) if found else ""


def _soup(html: str) -> Any:
    try:
        from bs4 import BeautifulSoup
    except ImportError as error:
        raise MissingPackage("HTML needs beautifulsoup4: pip install gptoss_magic[rag]") from error
    return BeautifulSoup(html, "html.parser")
