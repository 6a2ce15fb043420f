"""GET /metrics: counts and gauges in Prometheus' text format."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gptoss_magic.session import current

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gptoss_magic.records import Turn

TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass
class Metrics:
    """What was served since the start. Times in seconds."""

    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    prompt_tokens: int = 0
    cached_tokens: int = 0
    answer_tokens: int = 0
    repairs: int = 0
    answers: int = 0
    first_token_s: float = 0.0
    total_s: float = 0.0

    def count(self, turn: Turn) -> None:
        """One more answer."""
        usage = turn.answer.usage
        self.answers += 1
        self.prompt_tokens += usage.prompt_tokens
        self.cached_tokens += usage.cached_tokens
        self.answer_tokens += usage.completion_tokens
        self.repairs += len(turn.answer.repairs)
        self.first_token_s += usage.first_token_s
        self.total_s += usage.total_s

    def text(self, num_open: int) -> str:
        """All of it; `num_open` requests are not answered yet."""
        return "".join(f"{line}\n" for line in self._lines(num_open))

    def _lines(self, num_open: int) -> Iterator[str]:
        yield from _head("requests_total", "counter", "Requests by route and status.")
        for (route, status), number in sorted(self.requests.items()):
            yield f'gptoss_requests_total{{route="{route}",status="{status}"}} {number}'
        for name, about, value in (
            ("prompt_tokens_total", "Prompt tokens read.", self.prompt_tokens),
            ("cached_tokens_total", "Prompt tokens not computed again.", self.cached_tokens),
            ("answer_tokens_total", "Tokens generated.", self.answer_tokens),
            ("header_repairs_total", "Malformed headers that were read.", self.repairs),
            ("answers_total", "Answers given.", self.answers),
            ("first_token_seconds_total", "Time to the first tokens.", self.first_token_s),
            ("answer_seconds_total", "Time of whole answers.", self.total_s),
        ):
            yield from _head(name, "counter", about)
            yield f"gptoss_{name} {value}"
        yield from _head("requests_open", "gauge", "Requests that are not answered yet.")
        yield f"gptoss_requests_open {num_open}"
        yield from _head("kv_cache_bytes", "gauge", "Bytes of kept KV caches.")
        yield f"gptoss_kv_cache_bytes {_cache_bytes()}"


def _cache_bytes() -> int:
    loaded = current().loaded
    prefixes = getattr(loaded[1], "prefixes", None) if loaded else None
    return sum(one.cache.num_bytes for one in list(prefixes.held.values())) if prefixes else 0


def _head(name: str, kind: str, about: str) -> Iterator[str]:
    yield f"# HELP gptoss_{name} {about}"
    yield f"# TYPE gptoss_{name} {kind}"
