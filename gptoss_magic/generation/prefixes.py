"""What was computed already: a KV cache per conversation, found again by its longest prefix."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gptoss_magic.generation.routes import Routes

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass
class Held:
    """The tokens whose keys and values are in `cache`; where asked for, the routes of them all."""

    cache: Any
    tokens: list[int] = field(default_factory=list)
    routes: Routes | None = None

    def common(self, prompt_T: Sequence[int]) -> int:
        """Length of the common prefix, short of the prompt's last token."""
        pairs = zip(self.tokens, prompt_T[:-1], strict=False)
        return next(
            (n for n, (a, b) in enumerate(pairs) if a != b),
            min(len(self.tokens), len(prompt_T) - 1),
        )

    def cut(self, length: int) -> None:
        """Keep the first `length` tokens."""
        del self.tokens[length:]
        self.cache.cut(length)
        if self.routes is not None:
            self.routes.cut(length)


class Prefixes:
    """KV caches by conversation, least recently used first; at most `limit` bytes in all.

    The conversation in use stays, whatever its size.
    """

    def __init__(self, config: Any, limit: int) -> None:
        self.config, self.limit = config, limit
        self.held: dict[str, Held] = {}

    def take(
        self, name: str, prompt_T: Sequence[int], *, cold: bool = False, routing: bool = False
    ) -> Held:
        """The cache of conversation `name`, cut back to what it shares with the prompt.

        Where another conversation shares more (a persona's system text), that prefix is copied.
        `cold`: nothing is reused. `routing`: only caches that know their routes are.
        """
        from gptoss_magic.model.kv_cache import KVCache

        mine = self.held.pop(name, None)
        usable = [] if cold else [h for h in self.held.values() if h.routes or not routing]
        if mine is not None and routing and mine.routes is None:
            mine = None
        shared = 0 if cold or mine is None else mine.common(prompt_T)
        others = [(held.common(prompt_T), held) for held in usable]
        length, best = max(others, key=lambda pair: pair[0], default=(0, None))
        if mine is None or length > shared or not shared:
            mine, shared = Held(KVCache(self.config)), length
            if best is not None and length:
                mine.cache.copy_of(best.cache, length)
                mine.tokens = best.tokens[:length]
                mine.routes = best.routes and best.routes.copy(length)
        mine.cut(shared)
        mine.routes = (mine.routes or Routes()) if routing else None
        self.held[name] = mine
        return mine

    def trim(self, reserve: int = 0) -> None:
        """Drop the oldest conversations until the rest fits the limit, less `reserve` bytes."""
        while len(self.held) > 1 and self.num_bytes > self.limit - reserve:
            self.held.pop(next(iter(self.held)))

    @property
    def num_bytes(self) -> int:
        """Bytes of all caches."""
        return sum(held.cache.num_bytes for held in self.held.values())
