"""What a turn has of a memory: items recalled for it, older turns moved there, the turn kept."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.records import Message
from gptoss_magic.session import current

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gptoss_magic.agents.persona import Persona
    from gptoss_magic.records import Answer
    from gptoss_magic.retrieval.items import Item
    from gptoss_magic.retrieval.memory import Memory
    from gptoss_magic.turns.prompt import Turn

RECALLED = 4  # items in a prompt, at most
SUMMARY_TOKENS = 160
SUMMARISE = "Sum up our conversation so far in at most three short sentences."
MAX_TOKENS = 512  # of an answer, where nothing is said
NAMELESS = (
    "this front end does not say what the notebook is called, and another one of this folder must "
    "not share its memory: %gptoss memory on --as NAME"
)


@dataclass
class Remembered:
    """Without a `memory` everything passes as it is. `conversation`: the turn's, as it is kept.

    `respond` is the model, where summaries are made; see `api.respond`. `episode`: the id of the
    turn's own.
    """

    memory: Memory | None
    respond: Callable[..., Answer] | None = None
    conversation: str = ""
    everywhere: bool = False
    summarise: bool = False
    items: list[Item] = field(default_factory=list)
    episode: str = ""
    failed: str = ""

    def rules(self, system: str | None) -> str | None:
        """Instructions that say what a quoted memory is."""
        if self.memory is None:
            return system
        from gptoss_magic.retrieval.items import RULES

        return "\n\n".join(filter(None, (system, RULES)))

    def fitted(
        self,
        start: Sequence[Message],
        kept: Sequence[Message],
        prompt: str,
        quoting: str,
        how: dict[str, Any],
    ) -> tuple[Sequence[Message], str]:
        """(the earlier messages that the window holds, the user's message with what is recalled).

        Turns that the window does not hold are in the memory afterwards, oldest first, down to
        half of the window. Only then, if need be, is less recalled. Raises StorageError.
        """
        if self.memory is None:
            return kept, quoting
        turns = turns_of(kept)
        self.items = self.recalled(prompt, turns)
        room = free_tokens(start, how)
        excess = num_tokens(kept) + num_tokens([_user(self.quoted(quoting))]) - room
        if excess > 0 and turns:
            turns = self.moved(start, turns, excess + room // 2)
            self.items = self.recalled(prompt, turns)
        kept = [message for turn in turns for message in turn]
        room -= num_tokens(kept)
        while self.items and num_tokens([_user(self.quoted(quoting))]) > room:
            self.items.pop()
        return kept, self.quoted(quoting)

    def recalled(self, prompt: str, turns: Sequence[Sequence[Message]]) -> list[Item]:
        """What bears on the prompt and is not said in `turns`; a summary comes first."""
        assert self.memory is not None
        known = [item.id for item in self.episodes(turns)]
        notebook = None if self.everywhere else ""
        found = self.memory.recall(prompt, RECALLED, notebook=notebook, without=known)
        sums = self.memory.items(kind="summary") if self.summarise else []
        latest = [item for item in sums if item.conversation == self.conversation][-1:]
        rest = [item for item in found if item.id not in {one.id for one in latest}]
        return [*latest, *rest][:RECALLED]

    def moved(
        self, start: Sequence[Message], turns: list[list[Message]], tokens: int
    ) -> list[list[Message]]:
        """The turns but for the oldest of `tokens` or more together: those are remembered."""
        assert self.memory is not None
        gone, size = 0, 0
        while gone < len(turns) and size < tokens:
            size += num_tokens(turns[gone])
            gone += 1
        self.memory.remember(self.episodes(turns[:gone]))
        if self.summarise:
            self.sum_up(start, turns[:gone])
        return turns[gone:]

    def sum_up(self, start: Sequence[Message], turns: Sequence[Sequence[Message]]) -> None:
        """Let the model sum up `turns`; what does not fit its window is left out, oldest first."""
        from gptoss_magic.retrieval.items import Item

        assert self.memory is not None
        assert self.respond is not None
        how: dict[str, Any] = {"temperature": 0.0, "max_tokens": SUMMARY_TOKENS}
        ask, held = Message("user", SUMMARISE), list(turns)
        room = free_tokens([*start, ask], how)
        while held and sum(map(num_tokens, held)) > room:
            held.pop(0)
        said = [message for turn in held for message in turn]
        answer = self.respond([*start, *said, ask], effort="low", **how)
        if answer.finish == "interrupt":
            raise KeyboardInterrupt
        if answer.final.strip():
            made = Item("summary", answer.final, conversation=self.conversation)
            self.memory.remember([made])

    def episodes(self, turns: Sequence[Sequence[Message]]) -> list[Item]:
        """The turns as items, with their ids; one in which nothing was answered is none."""
        from gptoss_magic.retrieval.items import Item

        assert self.memory is not None
        texts = filter(None, map(turn_text, turns))
        found = [Item("episode", text, conversation=self.conversation) for text in texts]
        return [self.memory.complete(item) for item in found]

    def keep(self, turn: Sequence[Message]) -> None:
        """Remember a turn as it ends, so that a kernel's death loses none; see `failed`."""
        if self.memory is None:
            return
        try:
            number = self.memory.num_turns(self.conversation) + 1
            made = [replace(item, turn=number) for item in self.episodes([turn])]
            self.memory.remember(made)
            self.episode = made[0].id if made else ""
        except OSError as error:
            self.failed = str(error)

    def keep_instead(self, turn: Sequence[Message]) -> None:
        """The `episode` says what its turn says now; see `failed`.

        One that the user deleted is not made again. One that stands for an earlier turn with the
        same words as well stays, and the turn gets its own.
        """
        assert self.memory is not None
        try:
            held = self.memory.items(notebook=None, kind="episode")
            mine = next((item for item in held if item.id == self.episode), None)
            if self.episode and mine is None:
                return
            if mine is None or any(_is_later(item, mine) for item in held):
                self.keep(turn)
                return
            made = self.memory.exchange(mine, self.episodes([turn]))
            self.episode = made[0].id if made else ""
        except OSError as error:
            self.failed = str(error)

    def quoted(self, text: str) -> str:
        """The user's message below what is recalled."""
        from gptoss_magic.retrieval.items import quoted

        if not self.items:
            return text
        question = text if text.startswith("# ") else f"# Question\n\n{text}"
        return f"{quoted(self.items)}\n\n{question}"

    def provenance(self) -> dict[str, Any]:
        """What of the memory stood in the prompt, with its text; {} where none was asked for."""
        if self.memory is None:
            return {"memory": {"recalled": [], "failed": self.failed}} if self.failed else {}
        names = ("id", "kind", "time", "turn", "text")
        recalled = [{name: getattr(item, name) for name in names} for item in self.items]
        known = {"episode": self.episode, "failed": self.failed}
        kept = {name: value for name, value in known.items() if value}
        return {"memory": {"name": self.memory.name, "recalled": recalled, **kept}}


def remembered(
    voice: Persona,
    names: Sequence[str] | None,
    talk: str | None,
    respond: Callable[..., Answer],
) -> Remembered:
    """What the conversation `talk` has of a memory.

    None where neither the user nor the persona turned it on, and none of a turn that is not kept.
    Where only the persona did, and the notebook has no name, the turn goes on without; see
    `failed`.
    """
    settings = current().memory
    is_on = voice.memory in ("on", "shared") if settings.is_on is None else settings.is_on
    if talk is None or not is_on:
        return Remembered(None, respond)
    if settings.is_on is None and not notebook():
        return Remembered(None, respond, failed=NAMELESS)
    return Remembered(memory_of(names), respond, talk, settings.is_shared, settings.summarise)


def said_anew(turn: Turn, answer: Answer) -> dict[str, Any]:
    """Put `answer` in the place of the turn's in its memory; what the provenance says of it.

    Nothing where the turn was not remembered, or where the user turned memory off since.
    """
    was = turn.answer.provenance.get("memory")
    if was is None or "name" not in was or current().memory.is_on is False:
        return {}
    memory, episode = memory_of([was["name"]]), was.get("episode", "")
    kept = Remembered(memory, conversation=turn.conversation, episode=episode)
    kept.keep_instead(turn.saying(answer))
    made = kept.provenance()["memory"]
    recalled = answer.provenance.get("memory", made)["recalled"]
    return {"memory": {**made, "recalled": recalled}}


def memory_of(names: Sequence[str] | None = None, *, everywhere: bool = False) -> Memory:
    """The memory of a persona (names: a base and its overlays, which share it; None: in use).

    Raises InputError where the notebook has no name, unless `everywhere`: for items of all
    notebooks.
    """
    from gptoss_magic.agents.persona import NONE
    from gptoss_magic.retrieval.memory import Memory

    chosen, here = current().persona if names is None else names, notebook()
    if not (here or everywhere):
        raise InputError(f"memory: {NAMELESS}")
    return Memory(chosen[0] if chosen else NONE, here)


def notebook() -> str:
    """What this notebook is called in memory: as the user or VS Code said, else its path as the
    Jupyter server gives it to the kernel; '' where there is none.
    """
    path = os.environ.get("JPY_SESSION_NAME", "")
    is_folder = path.endswith(("/", os.sep))  # of a session that was started without a name
    return current().memory.notebook or ("" if is_folder else path)


def _is_later(item: Item, other: Item) -> bool:
    """True for a later turn of the same conversation."""
    places = {(one.notebook, one.conversation) for one in (item, other)}
    return len(places) == 1 and item.turn > other.turn


def turns_of(messages: Sequence[Message]) -> list[list[Message]]:
    """Messages by turn: each begins where the user speaks."""
    turns: list[list[Message]] = []
    for message in messages:
        if message.role == "user" or not turns:
            turns.append([])
        turns[-1].append(message)
    return turns


def turn_text(turn: Sequence[Message]) -> str:
    """What was said in a turn: the user's words and the final answer; '' without an answer."""
    asked = [message.content for message in turn if message.role == "user"]
    said = [m.content for m in turn if m.role == "assistant" and m.channel in ("final", None)]
    if not "".join(said).strip():
        return ""
    return "\n".join([*(f"user: {text}" for text in asked), f"assistant: {said[-1]}"])


def num_tokens(messages: Sequence[Message]) -> int:
    """Tokens of earlier messages in a prompt (reasoning before an answer is left out there)."""
    from gptoss_magic.harmony import prune, render

    codec = current().require()[1].codec
    return len(render(prune(messages), codec, prompt=False))


def free_tokens(start: Sequence[Message], how: dict[str, Any]) -> int:
    """Tokens that are left beside the opening and an answer of max_tokens."""
    session = current()
    _, engine = session.require()
    with session.using(how.get("adapters")) as active:
        free = engine.context - active.num_virtual
    taken = num_tokens(start) + len(engine.codec.encode("assistant")) + 1
    return free - taken - int(how.get("max_tokens") or MAX_TOKENS)


def _user(text: str) -> Message:
    return Message("user", text)
