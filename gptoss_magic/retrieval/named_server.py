"""A server that the user named, asked in JSON: never another one, its key only where it is safe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from gptoss_magic.errors import InputError

if TYPE_CHECKING:
    from http.client import HTTPResponse

TIMEOUT_S = 60


class _Stay(HTTPRedirectHandler):
    """A redirection is an error: the key and the texts go to the server that was named."""

    def redirect_request(self, *args: Any) -> None:
        return None


def opened(
    url: str, body: bytes | None, headers: dict[str, str], method: str = "POST"
) -> HTTPResponse:
    """The answer of that server. Raises HTTPError, OSError and HTTPException, as urllib does."""
    request = Request(url, body, headers, method=method)  # noqa: S310 (http: see `split_url`)
    answer: HTTPResponse = build_opener(_Stay).open(request, timeout=TIMEOUT_S)
    return answer


def sends_key(parts: SplitResult) -> bool:
    """Whether a key may go there: by https, or to this machine."""
    return parts.scheme == "https" or parts.hostname in ("localhost", "127.0.0.1", "::1")


def headers_with(key: str | None, where: str) -> dict[str, str]:
    """Those of a JSON request, with a key where there is one; `where` says where it is from.

    Raises InputError for what is no key.
    """
    headers = {"Content-Type": "application/json"}
    if key:
        if not (key.isascii() and key.isprintable()):
            raise InputError(f"{where} has signs that no key has; set it again")
        headers["Authorization"] = f"Bearer {key}"
    return headers


def split_url(url: str) -> SplitResult | None:
    """The parts of an http or https address; None where it is none, or its port no number."""
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:
        return None
    return parts if is_good and url.isascii() and url.isprintable() and " " not in url else None
