"""The resident model's memory for the ranks of a run; afterwards all is as it was."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from gptoss_magic.session import current

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def released() -> Iterator[None]:
    """Within, no model is loaded; then the same one is again, with adapters and conversations.

    Raises NotLoaded, InputError where a server answers in its place.
    """
    session = current()
    settings, device = session.require_local().settings, session.require_local().model.device
    turns, latest = dict(session.conversations.turns), dict(session.conversations.latest)
    shelf = session.shelf
    held, default = dict(shelf.held), shelf.default
    for one in held.values():
        for part in one.adapter.parts:
            part.to("cpu")
    session.unload()
    del shelf
    try:
        yield
    finally:
        session.load(settings)
        session.conversations.turns.update(turns)
        session.conversations.latest.update(latest)
        for one in held.values():
            for part in one.adapter.parts:
                part.to(device)
        session.shelf.held.update(held)
        session.shelf.use(default or ("none",))
