"""One page of one host over the network, within bounds that the host cannot widen.

    URL → is it the host's? → its addresses → are all of them public? → connected to one of those
        → a redirect: all of it again → what it says: a text, so many bytes, in so many seconds

Nothing is sent but the request: no cookie, no referrer, no key. Proxies of the environment are
passed over, as they would connect to an address that nobody checked.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urldefrag, urljoin, urlsplit

from gptoss_magic.errors import InputError, MissingPackage, error_line
from gptoss_magic.quoting import one_line
from gptoss_magic.retrieval.pages.addresses import checked_address, is_public, resolved

if TYPE_CHECKING:
    from collections.abc import Callable

    from gptoss_magic.retrieval.pages.addresses import Resolve

AGENT = "gptoss_magic"
PORTS = {"http": 80, "https": 443}
MAX_REDIRECTS = 5
MAX_BYTES, MAX_SECONDS, WAIT_S = 4_000_000, 20.0, 10.0


@dataclass(frozen=True)
class Fetched:
    """What a host said at `url`. `kind`: the content's type; `is_cut`: there was more of it."""

    url: str
    status: int
    kind: str
    charset: str
    data: bytes
    is_cut: bool = False


@dataclass(frozen=True)
class Fetcher:
    """Reads from one `host` (`name` or `name:port`); see the module.

    `resolve(host, port)` and `is_allowed(address)`: another network than this machine's.
    """

    host: str
    resolve: Resolve = resolved
    is_allowed: Callable[[str], bool] = is_public
    max_bytes: int = MAX_BYTES
    max_seconds: float = MAX_SECONDS

    def owns(self, url: str) -> bool:
        """Whether a URL is the host's, by its scheme, name and port."""
        return self._parts(url) is not None

    def get(self, url: str, check: Callable[[str], None] = lambda url: None) -> Fetched:
        """What the host says, at the end of its redirects; `check` may refuse each URL before.

        Raises InputError.
        """
        until = time.monotonic() + self.max_seconds
        for _ in range(MAX_REDIRECTS + 1):
            parts = self._parts(url)
            if parts is None:
                raise InputError(f"it leads to {one_line(url, 200)}, which is not {self.host}")
            check(url)
            said, location = self._asked(urldefrag(url).url, parts, until)
            if said is not None:
                return said
            url = urljoin(url, location)
        raise InputError(f"more than {MAX_REDIRECTS} redirects")

    def _parts(self, url: str) -> SplitResult | None:
        """A URL's parts; None where it is not the host's."""
        try:
            parts = urlsplit(url)
            port, name = parts.port, (parts.hostname or "").rstrip(".")
        except ValueError:
            return None
        if parts.scheme not in PORTS or "@" in parts.netloc or not name.isascii():
            return None
        given, _, wanted = self.host.partition(":")
        ports = (int(wanted),) if wanted else (None, PORTS[parts.scheme])
        return parts if name == given and port in ports else None

    def _asked(self, url: str, parts: SplitResult, until: float) -> tuple[Fetched | None, str]:
        """(what it says, ''), or (None, where it sends to)."""
        httpx = _httpx()
        name, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
        address = checked_address(name, port, self.resolve, self.is_allowed)
        headers = {
            "Host": parts.netloc,
            "User-Agent": AGENT,
            "Accept": "text/html, text/*;q=0.8",
            "Accept-Encoding": "identity",  # nothing unpacks to more than it is
        }
        try:
            with (
                httpx.Client(trust_env=False, timeout=httpx.Timeout(WAIT_S)) as client,
                client.stream(
                    "GET",
                    httpx.URL(url).copy_with(host=address),
                    headers=headers,
                    extensions={"sni_hostname": name},
                ) as response,
            ):
                if response.has_redirect_location:
                    return None, str(response.headers["location"])
                return self._said(url, response, until), ""
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise InputError(f"{self.host}: {error_line(error)}") from error

    def _said(self, url: str, response: Any, until: float) -> Fetched:
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise InputError(f"{self.host}: packed, which nobody asked for")
        pieces, size = [], 0
        for piece in response.iter_raw():
            if time.monotonic() > until:
                raise InputError(f"{self.host}: not done after {self.max_seconds:g} s")
            pieces.append(piece)
            size += len(piece)
            if size > self.max_bytes:
                break
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        charset = response.charset_encoding or ""
        data = b"".join(pieces)[: self.max_bytes]
        return Fetched(url, response.status_code, kind, charset, data, size > self.max_bytes)


def _httpx() -> Any:
    try:
        import httpx
    except ImportError as error:
        raise MissingPackage("hosts need httpx: pip install gptoss_magic[browser]") from error
    return httpx
