"""What a server refuses, or fails at, and what it says of it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSING = (408, 425, 429, 500, 502, 503, 504)  # it may be otherwise a moment later
OF_ALL = (*range(300, 400), 401, 403, 404, 405)  # no other request would fare better


class RemoteFault(ServerError):
    """What went wrong with a request. `status`: HTTP's, 0 where none came.

    `is_passing`: the same request may succeed a moment later; `pause_s`: when, as the server says.
    """

    def __init__(
        self, words: str, status: int = 0, *, is_passing: bool = False, pause_s: float | None = None
    ) -> None:
        super().__init__(words)
        self.status, self.is_passing, self.pause_s = status, is_passing, pause_s

    @property
    def ends_all(self) -> bool:  # type: ignore[override]
        return self.status in (0, *OF_ALL)


def reason_in(text: str) -> str:
    """What a refusal says: the words of its JSON, or that it is a page."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        is_page = "<html" in text[:1000].lower() or "<!doctype" in text[:1000].lower()
        return "an HTML page: a proxy, or another service" if is_page else text
    return reason_of(value)


def reason_of(value: Any) -> str:
    """The words within the many shapes of an error."""
    if isinstance(value, dict):
        for key in ("error", "message", "detail", "msg", "reason"):
            if value.get(key):
                return reason_of(value[key])
    if isinstance(value, list) and value:
        return reason_of(value[0])
    return value if isinstance(value, str) else json.dumps(value)


@contextmanager
def readable(where: str) -> Iterator[None]:
    """Within, JSON of another shape than is read there is a fault of the server at `where`."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise RemoteFault(
            f"{where}: what came has another shape than such a server's ({type(error).__name__}); "
            "see what that URL serves"
        ) from error
