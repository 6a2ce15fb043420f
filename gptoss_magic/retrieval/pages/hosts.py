"""The pages of a host that the user named, as far as its robots.txt allows."""

from __future__ import annotations

import codecs
import ipaddress
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.robotparser import RobotFileParser

from gptoss_magic.errors import InputError
from gptoss_magic.records import Snippet, SourcePage
from gptoss_magic.retrieval.pages.addresses import is_public
from gptoss_magic.retrieval.pages.fetch import AGENT, Fetcher
from gptoss_magic.retrieval.pages.html import html_page, text_page
from gptoss_magic.textfiles import decode

if TYPE_CHECKING:
    from gptoss_magic.retrieval.pages.fetch import Fetched

NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*(:\d{1,5})?")
PAGES = ("text/html", "application/xhtml+xml")
TEXTS = ("text/", "application/json", "application/xml", "application/rst")
CUT = "[cut: the page is larger than {} bytes]"


class HostPages:
    """`host:NAME`: what one host says, read where the user lets a call run.

    It cannot be searched: a search names its first page. Raises InputError for no host's name, and
    for an address that is not public.
    """

    is_remote = True

    def __init__(self, host: str, fetcher: Fetcher | None = None) -> None:
        host = _plain(host)
        self.name = f"host:{host}"
        self.fetcher = fetcher or Fetcher(host)
        self._robots: dict[str, RobotFileParser] = {}

    def owns(self, url: str) -> bool:
        return self.fetcher.owns(url)

    def search(self, query: str, k: int) -> list[Snippet]:
        """Its first page: who it is, and that it cannot be searched. Nobody is asked."""
        host = self.fetcher.host
        return [Snippet(f"https://{host}/", host, "The host's first page; it has no search here.")]

    def fetch(self, url: str, *, is_raw: bool = False) -> SourcePage:
        """A page, over the network. Raises InputError."""
        said = self.fetcher.get(url, self._check_robots)
        if said.status >= 400:
            raise InputError(f"{self.fetcher.host} says {said.status}")
        return _page(said, is_raw=is_raw)

    def _check_robots(self, url: str) -> None:
        """Raise InputError where the host's robots.txt forbids the page (RFC 9309)."""
        parts = urlsplit(url)
        root = f"{parts.scheme}://{parts.netloc}"
        if root not in self._robots:
            self._robots[root] = self._read_robots(f"{root}/robots.txt")
        if not self._robots[root].can_fetch(AGENT, url):
            raise InputError(f"{self.fetcher.host}: its robots.txt forbids this page")

    def _read_robots(self, url: str) -> RobotFileParser:
        said = self.fetcher.get(url)
        if said.status >= 500:
            raise InputError(
                f"{self.fetcher.host}: its robots.txt cannot be read ({said.status}), so nothing is"
            )
        rules = RobotFileParser(url)
        is_there = said.status < 300
        rules.parse(said.data.decode("utf-8", "replace").splitlines() if is_there else [])
        return rules


def _plain(host: str) -> str:
    """The name of a host as DNS has it."""
    try:
        name, _, port = host.strip().rstrip(".").lower().partition(":")
        plain = name.encode("idna").decode("ascii") + (f":{port}" if port else "")
    except UnicodeError:
        plain = ""
    if not NAME.fullmatch(plain) or int(plain.partition(":")[2] or 0) > 65535:
        raise InputError(f"host:{host}: give a host's name alone, such as host:docs.python.org")
    try:
        ipaddress.ip_address(plain.partition(":")[0])
    except ValueError:
        return plain
    if not is_public(plain.partition(":")[0]):
        raise InputError(f"host:{host}: no public address; hosts of this network are not read")
    return plain


def _page(said: Fetched, *, is_raw: bool) -> SourcePage:
    read_at = datetime.now(UTC).isoformat(timespec="seconds")
    is_page = said.kind in PAGES or (not said.kind and said.data.lstrip()[:1] == b"<")
    if not is_page and said.kind and not said.kind.startswith(TEXTS):
        raise InputError(f"it is {said.kind}, no text")
    text = _decoded(said)
    title = urlsplit(said.url).path.rpartition("/")[2] or said.url
    page = (
        html_page(said.url, text, read_at=read_at)
        if is_page and not is_raw
        else text_page(said.url, title, text, read_at)
    )
    if not said.is_cut:
        return page
    return replace(page, text=f"{page.text}\n{CUT.format(f'{len(said.data):,}')}")


def _decoded(said: Fetched) -> str:
    """The text, in the encoding that the host names, where it reads all of it."""
    try:
        codec = codecs.lookup(said.charset) if said.charset else None
        if codec is not None and codec.name not in ("utf-8", "iso8859-1"):
            return said.data.decode(codec.name)
    except (LookupError, ValueError):
        pass
    return decode(said.data).text
