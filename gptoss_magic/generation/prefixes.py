"""What was computed already: a KV cache per conversation, found again by its longest prefix."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gptoss_magic.generation.routes import Routes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gptoss_magic.model.protocol import ModelConfig


@dataclass(frozen=True)
class Beside:
    """What stands beside the model while a cache is computed: adapters, named by `key`.

    `fill(cache)` puts `num_virtual` positions (a soft prompt, a prefix) into an empty cache.
    """

    key: str = ""
    num_virtual: int = 0
    fill: Callable[[Any], None] = lambda cache: None


@dataclass
class CachedPrefix:
    """The tokens whose keys and values are in `cache`, behind the virtual ones of `beside`.

    `routes`, where asked for, of all of them. `is_open`: an answer is being made behind them, maybe
    while another thread has the model; nobody else may change them.
    """

    cache: Any
    tokens: list[int] = field(default_factory=list)
    beside: Beside = field(default_factory=Beside)
    routes: Routes | None = None
    is_open: bool = False

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
        self.cache.cut(self.beside.num_virtual + length)
        if self.routes is not None:
            self.routes.cut(length)


class Prefixes:
    """KV caches by conversation, least recently used first; at most `limit` bytes in all.

    The conversation in use stays, whatever its size. What was computed while some adapters
    stood `beside` the model is reused beside the same ones only.
    """

    def __init__(self, config: ModelConfig, limit: int, like: Prefixes | None = None) -> None:
        self.config, self.limit, self._like = config, limit, like
        self.held: dict[str, CachedPrefix] = {}
        self._beside = Beside()

    @property
    def beside(self) -> Beside:
        """What stands beside the model now; as those that it is `like` say."""
        return self._like.beside if self._like is not None else self._beside

    @beside.setter
    def beside(self, beside: Beside) -> None:
        self._beside = beside

    def take(
        self, name: str, prompt_T: Sequence[int], *, cold: bool = False, routing: bool = False
    ) -> CachedPrefix:
        """The cache of conversation `name`, cut back to what it shares with the prompt.

        Where another conversation shares more (a persona's system text), that prefix is copied.
        `cold`: nothing is reused. `routing`: only caches that know their routes are. One behind
        which an answer is being made is copied too, never cut.
        """
        slot = f"{name} ({self.beside.key})" if self.beside.key else name
        mine = self.held.get(slot)
        if mine is not None and mine.is_open:
            mine = None
        elif mine is not None:
            del self.held[slot]
        usable = [] if cold else [held for held in self.held.values() if self._fits(held, routing)]
        if mine is not None and not self._fits(mine, routing):
            mine = None
        shared = 0 if cold or mine is None else mine.common(prompt_T)
        others = [(held.common(prompt_T), held) for held in usable]
        length, best = max(others, key=lambda pair: pair[0], default=(0, None))
        if mine is None or length > shared or not shared:
            mine, shared = self._fresh(best if length else None, length), length
        mine.cut(shared)
        mine.routes = (mine.routes or Routes()) if routing else None
        self.held.pop(slot, None)
        self.held[slot] = mine
        return mine

    def _fresh(self, best: CachedPrefix | None, length: int) -> CachedPrefix:
        """A cache that begins with the first `length` tokens of `best`, or with nothing."""
        from gptoss_magic.model.kv_cache import KVCache

        made = CachedPrefix(KVCache(self.config), beside=self.beside)
        if best is None:
            self.beside.fill(made.cache)
        else:
            made.cache.copy_of(best.cache, self.beside.num_virtual + length)
            made.tokens = best.tokens[:length]
            made.routes = best.routes and best.routes.copy(length)
        return made

    def _fits(self, held: CachedPrefix, routing: bool) -> bool:
        return held.beside.key == self.beside.key and bool(held.routes or not routing)

    def trim(self, reserve: int = 0) -> None:
        """Drop the oldest conversations until the rest fits the limit, less `reserve` bytes."""
        while len(self.held) > 1 and self.num_bytes > self.limit - reserve:
            self.held.pop(next(iter(self.held)))

    @property
    def num_bytes(self) -> int:
        """Bytes of all caches."""
        return sum(held.cache.num_bytes for held in self.held.values())
