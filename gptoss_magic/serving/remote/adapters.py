"""The adapters that a server has loaded, in the place of those beside a resident model."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from gptoss_magic.adapters import Active, Shelf
from gptoss_magic.errors import InputError
from gptoss_magic.vocabulary import BARE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gptoss_magic.records.provenance import AdapterRecord

BESIDE: ContextVar[tuple[str, ...]] = ContextVar("adapters beside a server's model", default=())


@dataclass
class ServedAdapter:
    """One that the server knows by a name; nothing here tells its numbers, so no scale either."""

    name: str
    url: str
    scale: float = 1.0

    def record(self) -> AdapterRecord:
        return {"name": self.name, "uid": f"{self.url}#{self.name}", "scale": 1.0, "path": ""}


class RemoteShelf(Shelf):
    """A `Shelf` whose adapters stand beside the server's model.

    `check(name)` raises InputError where an adapter changes nothing; it is asked once for each,
    before the first answer beside it.
    """

    def __init__(self, url: str, names: Sequence[str]) -> None:
        self.url = url
        self.held: dict[str, Any] = {name: ServedAdapter(name, url) for name in names}
        self.default: tuple[str, ...] = ()
        self.check: Callable[[str], None] = lambda name: None
        self._checked: set[str] = set()

    @property
    def beside(self) -> tuple[str, ...]:
        """What stands beside the model for the prompts of this thread."""
        return BESIDE.get()

    def chosen(self, names: Sequence[str] | None) -> tuple[str, ...]:
        """Names of the server's adapters, one at most; None is the default, 'none' the bare base.

        Raises InputError.
        """
        if names is None:
            return self.default
        wanted = tuple(dict.fromkeys(name for name in names if name not in BARE))
        for name in wanted:
            if name not in self.held:
                known = ", ".join(self.held) or "none"
                raise InputError(
                    f"{name}: no such adapter at {self.url}; it has {known}: give one of those"
                )
        if len(wanted) > 1 or (wanted and len(wanted) < len(names)):
            raise InputError(
                f"{'+'.join(names)}: a server puts one adapter beside its model; give one of them"
            )
        return wanted

    def num_virtual(self, names: Sequence[str]) -> int:
        """0: what a server's adapter takes of its context, only it knows."""
        return 0

    @contextmanager
    def active(self, names: Sequence[str] | None = None) -> Iterator[Active]:
        """Within, prompts of this thread are answered beside these (None: the default)."""
        wanted = self.chosen(names)
        for name in wanted:
            if name not in self._checked:
                self.check(name)
                self._checked.add(name)
        with self.putting(wanted):
            records = tuple(self.held[name].record() for name in wanted)
            yield Active(wanted, "+".join(wanted), None, records)

    @contextmanager
    def putting(self, names: tuple[str, ...]) -> Iterator[None]:
        """The same, unchecked."""
        before = BESIDE.set(names)
        try:
            yield
        finally:
            BESIDE.reset(before)

    def status(self) -> str:
        """The server's adapters, those in use marked."""
        marked = (f"{name}{' (in use)' if name in self.default else ''}" for name in self.held)
        return ", ".join(marked) or "none"

    def attach(self, *_given: Any, **_named: Any) -> NoReturn:
        raise self._refusal()

    add = detach = export = export_merged = attach

    def rescale(self, name: str, scale: float) -> None:
        """A server's adapter counts as it was trained."""
        self.chosen([name])
        if scale != 1:
            raise self._refusal()

    def _refusal(self) -> InputError:
        return InputError(
            f"{self.url} has its adapters to itself: load them there; %gptoss lora use NAME chooses"
        )
