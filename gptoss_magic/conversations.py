"""The turns of this kernel, each in exact tokens; a conversation is a chain of them."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gptoss_magic.records import Message, OpenPage, Step, Turn


class Conversations:
    """Turns by id, oldest first; the latest of each conversation by its name.

    `limit`: how many turns are kept; None keeps all. The oldest go first.
    """

    def __init__(self) -> None:
        self.turns: dict[str, Turn] = {}
        self.latest: dict[str, str] = {}
        self.limit: int | None = None

    def __contains__(self, name: str) -> bool:
        return name in self.latest

    def __iter__(self) -> Iterator[str]:
        """Names of conversations."""
        return iter(tuple(self.latest))

    def __repr__(self) -> str:
        return f"Conversations({counted(len(self.turns), 'turn')}, latest {self.latest})"

    def __len__(self) -> int:
        return len(self.latest)

    @staticmethod
    def new_id() -> str:
        """For a turn: 12 hexadecimal digits."""
        return secrets.token_hex(6)

    def add(self, turn: Turn) -> Turn:
        """Keep a turn; it is its conversation's latest, where it has one."""
        self.turns[turn.id] = turn
        if turn.conversation:
            self.latest[turn.conversation] = turn.id
        self._trim()
        return turn

    def get(self, turn_id: str) -> Turn | None:
        """The turn of this id; None where it is not kept."""
        return self.turns.get(turn_id)

    def last(self, name: str) -> Turn | None:
        """The latest turn of a conversation."""
        return self.turns.get(self.latest.get(name, ""))

    def chain(self, name: str) -> list[Turn]:
        """A conversation's turns, oldest first: those that its latest prompt held, and it."""
        turn = last = self.last(name)
        turns: list[Turn] = []
        while turn is not None:
            turns.append(turn)
            assert last is not None
            turn = None if turn.id == last.first else self.turns.get(turn.parent)
        return turns[::-1]

    def messages(self, name: str) -> list[Message]:
        """What the next turn of a conversation sees, its own question apart."""
        return [message for turn in self.chain(name) for message in turn.messages]

    def steps(self, name: str) -> list[Step]:
        """The calls of tools in a conversation, oldest first: those that left the window, too."""
        turn, turns = self.last(name), []
        while turn is not None:
            turns.append(turn)
            turn = self.turns.get(turn.parent)
        return [step for turn in turns[::-1] for step in turn.answer.steps]

    def pages(self, name: str) -> list[OpenPage]:
        """What the model opened in a conversation, oldest first."""
        return [step.page for step in self.steps(name) if step.page is not None]

    def is_last(self, turn: Turn) -> bool:
        """True where the turn's conversation has not gone on."""
        return self.latest.get(turn.conversation) == turn.id

    def forget(self, names: Sequence[str]) -> None:
        """Drop conversations and their turns. Raises InputError where there is none of a name."""
        for name in names:
            if name not in self.latest:
                known = ", ".join(sorted(self.latest)) or "none"
                raise InputError(f"conversation {name}: there is none; there are {known}")
        gone = {turn.id for turn in self.turns.values() if turn.conversation in names}
        for name in names:
            del self.latest[name]
        self.turns = {key: turn for key, turn in self.turns.items() if key not in gone}

    def bound(self, limit: int | None) -> None:
        """Keep so many turns from now on, and drop the oldest now. Raises InputError."""
        if limit is not None and limit < 1:
            raise InputError(f"keep {limit}: give 1 turn or more")
        self.limit = limit
        self._trim()

    def clear(self) -> None:
        """Forget all."""
        self.turns.clear()
        self.latest.clear()

    def _trim(self) -> None:
        while self.limit is not None and len(self.turns) > self.limit:
            gone = self.turns.pop(next(iter(self.turns)))
            if self.latest.get(gone.conversation) == gone.id:
                del self.latest[gone.conversation]
