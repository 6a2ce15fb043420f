"""What a turn has of a memory: items recalled for it, older turns moved there, the turn kept."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError
from gptoss_magic.records import Message, Request, SamplingSettings
from gptoss_magic.session import current
from gptoss_magic.turns.settle import NAMELESS, notebook_name
from gptoss_magic.vocabulary import NONE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gptoss_magic.records import Answer, Turn
    from gptoss_magic.records.provenance import MemoryRecord, Provenance, RecalledItem
    from gptoss_magic.retrieval.items import Item
    from gptoss_magic.retrieval.memory import Memory

    Ask = Callable[[Request], Answer]

RECALLED = 4  # items in a prompt, at most
SUMMARY_TOKENS = 160
SUMMARISE = "Sum up our conversation so far in at most three short sentences."


@dataclass
class Recall:
    """What a turn has of `memory`; without one everything passes as it is.

    `request`: the turn's. `ask`: the model, where summaries are made. `items`: what was recalled.
    `episode`: the id of the turn's own, `turn` its number; `learned`: the facts that were drawn
    from it, None where none were asked for. `failed`: why it, or its facts, are not remembered.
    """

    memory: Memory | None
    request: Request
    ask: Ask | None = None
    items: list[Item] = field(default_factory=list)
    episode: str = ""
    failed: str = ""
    turn: int = 0
    learned: list[Item] | None = None

    @property
    def conversation(self) -> str:
        """The turn's, as it is kept."""
        return self.request.conversation

    @property
    def rules(self) -> str:
        """Instructions that say what a quoted memory is."""
        if self.memory is None:
            return ""
        from gptoss_magic.retrieval.items import RULES

        return RULES

    def fitted(
        self, start: Sequence[Message], turns: Sequence[Turn], question: str
    ) -> tuple[Sequence[Turn], str]:
        """(the earlier turns that the window holds, the user's message with what is recalled).

        Turns that the window does not hold are in the memory afterwards, oldest first, down to
        half of the window. Only then, if need be, is less recalled. Raises StorageError.
        """
        if self.memory is None:
            return turns, question
        self.items = self.recalled(turns)
        room = free_tokens(start, self.request)
        asked = num_tokens([_user(self.quoted(question))])
        excess = turn_tokens(turns) + asked - room
        if excess > 0 and turns:
            turns = self.moved(start, turns, excess + room // 2)
            self.items = self.recalled(turns)
        room -= turn_tokens(turns)
        while self.items and num_tokens([_user(self.quoted(question))]) > room:
            self.items.pop()
        return turns, self.quoted(question)

    def recalled(self, turns: Sequence[Turn]) -> list[Item]:
        """What bears on the prompt and is not said in `turns`; a summary comes first."""
        assert self.memory is not None
        settings = current().memory
        known = [item.id for item in self.episodes([turn.messages for turn in turns])]
        notebook = None if settings.is_shared else ""
        found = self.memory.recall(self.request.prompt, RECALLED, notebook=notebook, without=known)
        sums = self.memory.items(kind="summary") if settings.summarise else []
        latest = [item for item in sums if item.conversation == self.conversation][-1:]
        rest = [item for item in found if item.id not in {one.id for one in latest}]
        return [*latest, *rest][:RECALLED]

    def moved(self, start: Sequence[Message], turns: Sequence[Turn], tokens: int) -> Sequence[Turn]:
        """The turns but for the oldest of `tokens` or more together: those are remembered."""
        assert self.memory is not None
        gone, size = 0, 0
        while gone < len(turns) and size < tokens:
            size += turn_tokens([turns[gone]])
            gone += 1
        self.memory.remember(self.episodes([turn.messages for turn in turns[:gone]]))
        if current().memory.summarise:
            self.sum_up(start, turns[:gone])
        return turns[gone:]

    def sum_up(self, start: Sequence[Message], turns: Sequence[Turn]) -> None:
        """Let the model sum up `turns`; what does not fit its window is left out, oldest first."""
        from gptoss_magic.retrieval.items import Item

        assert self.memory is not None
        assert self.ask is not None
        sampling = SamplingSettings(temperature=0.0, max_tokens=SUMMARY_TOKENS)
        question, held = Message("user", SUMMARISE), list(turns)
        plain = replace(self.request, sampling=sampling, effort="low", schema=None, routing=False)
        room = free_tokens([*start, question], plain)
        while held and turn_tokens(held) > room:
            held.pop(0)
        said = [message for turn in held for message in turn.messages]
        answer = self.ask(replace(plain, messages=(*start, *said, question), conversation=""))
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
            self.turn = self.memory.num_turns(self.conversation) + 1
            made = [replace(item, turn=self.turn) for item in self.episodes([turn])]
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

    def provenance(self) -> Provenance:
        """What of the memory stood in the prompt, with its text; {} where none was asked for."""
        if self.memory is None:
            return {"memory": {"recalled": [], "failed": self.failed}} if self.failed else {}
        memory: MemoryRecord = {
            "name": self.memory.name,
            "recalled": [_recalled(item) for item in self.items],
        }
        if self.episode:
            memory["episode"] = self.episode
        if self.learned is not None:
            memory["learned"] = [_recalled(item) for item in self.learned]
        if self.failed:
            memory["failed"] = self.failed
        return {"memory": memory}


def _recalled(item: Item) -> RecalledItem:
    """An item as the provenance keeps it."""
    known: RecalledItem = {
        "id": item.id,
        "kind": item.kind,
        "time": item.time,
        "turn": item.turn,
        "text": item.text,
    }
    return known | {"why": item.why} if item.why else known


def recall_of(request: Request, ask: Ask | None = None) -> Recall:
    """What the turn of `request` has of its voice's memory."""
    if not request.remembers:
        return Recall(None, request, ask, failed=request.no_memory)
    return Recall(memory_of(request.voice.names), request, ask)


def kept_of(answer: Answer) -> tuple[Message, ...]:
    """The messages that the next turn sees: those that have text, and calls."""
    return tuple(message for message in answer.messages if message.content or message.recipient)


def said_anew(turn: Turn, answer: Answer) -> Provenance:
    """Put `answer` in the place of the turn's in its memory; what the provenance says of it.

    Nothing where the turn was not remembered, or where the user turned memory off since.
    """
    was = turn.answer.provenance.get("memory")
    if was is None or "name" not in was or current().memory.is_on is False:
        return {}
    recall = Recall(memory_of([was["name"]]), turn.request, episode=was.get("episode", ""))
    recall.keep_instead([turn.asked, *kept_of(answer)])
    made = recall.provenance()["memory"]
    recalled = answer.provenance.get("memory", made)["recalled"]
    return {"memory": {**made, "recalled": recalled}}


def memory_of(names: Sequence[str] | None = None, *, everywhere: bool = False) -> Memory:
    """The memory of a persona (names: a base and its overlays, which share it; None: in use).

    Raises InputError where the notebook has no name, unless `everywhere`: for items of all
    notebooks.
    """
    from gptoss_magic.retrieval.memory import Memory

    chosen, here = current().persona if names is None else names, notebook_name()
    if not (here or everywhere):
        raise InputError(f"memory: {NAMELESS}")
    return Memory(chosen[0] if chosen else NONE, here)


def _is_later(item: Item, other: Item) -> bool:
    """True for a later turn of the same conversation."""
    places = {(one.notebook, one.conversation) for one in (item, other)}
    return len(places) == 1 and item.turn > other.turn


def turn_text(turn: Sequence[Message]) -> str:
    """What was said in a turn: the user's words and the final answer; '' without an answer."""
    asked = [message.content for message in turn if message.role == "user"]
    said = [m.content for m in turn if m.role == "assistant" and m.channel in ("final", None)]
    if not "".join(said).strip():
        return ""
    return "\n".join([*(f"user: {text}" for text in asked), f"assistant: {said[-1]}"])


def turn_tokens(turns: Sequence[Turn]) -> int:
    """Tokens of earlier turns in a prompt."""
    return num_tokens([message for turn in turns for message in turn.messages])


def num_tokens(messages: Sequence[Message]) -> int:
    """Tokens of earlier messages in a prompt (reasoning before an answer is left out there)."""
    from gptoss_magic.harmony import prune, render

    return len(render(prune(messages), current().codec, prompt=False))


def free_tokens(start: Sequence[Message], request: Request) -> int:
    """Tokens that are left beside the opening and an answer of max_tokens."""
    session = current()
    with session.using(request.adapters or ("none",)) as active:
        free = session.engine.context - active.num_virtual
    taken = num_tokens(start) + len(session.codec.encode("assistant")) + 1
    return free - taken - request.sampling.max_tokens


def _user(text: str) -> Message:
    return Message("user", text)
