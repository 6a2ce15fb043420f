"""A turn of a conversation: what the prompt is made of before it, and what is kept behind it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.session import current
from gptoss_magic.turns.settle import opening, without_none

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gptoss_magic.agents.persona import Persona
    from gptoss_magic.records import Answer, Message, Passage, ToolSpec
    from gptoss_magic.turns.recall import Remembered


@dataclass(frozen=True)
class Asked:
    """What the user asks, of nobody yet; `formats`: response formats by name."""

    prompt: str
    system: str | None = None
    tools: Sequence[ToolSpec] = ()
    passages: Sequence[Passage] | None = None
    effort: str | None = None
    date: str | None = None
    formats: dict[str, Any] | None = None


@dataclass(frozen=True)
class Talk:
    """A turn that stands open: `messages` are to be answered, by `how` (keywords of `respond`).

    `name` is the conversation's, of this persona; None where nothing is kept. `kept`: its earlier
    messages, those that the window holds.
    """

    asked: Asked
    name: str | None
    layers: Sequence[Persona]
    messages: list[Message]
    kept: Sequence[Message]
    remembered: Remembered
    effort: str
    how: dict[str, Any]

    def closed(self, answer: Answer) -> Answer:
        """The answer with its sources, persona and recalled items; the conversation goes on."""
        from gptoss_magic.agents.layers import record
        from gptoss_magic.records import Message
        from gptoss_magic.turns.tool_run import all_cited

        session = current()
        answer = all_cited(answer, self.asked.passages, self.asked.prompt)
        if self.name is not None and "probe" not in answer.provenance:
            turn = [Message("user", self.asked.prompt), *kept_of(answer)]
            session.conversations[self.name] = [*self.kept, *turn]
            self.remembered.keep(turn)
        known = {"persona": record(self.layers)} if self.layers else {}
        known |= self.remembered.provenance()
        session.last = replace(answer, provenance={**answer.provenance, **known})
        return session.last


@dataclass(frozen=True)
class Turn:
    """The last turn of a conversation: what stands before it, what was asked, and the answer."""

    conversation: str
    before: tuple[Message, ...]
    asked: Message
    answer: Answer

    def saying(self, answer: Answer) -> list[Message]:
        """The turn's messages, if `answer` were its answer."""
        return [self.asked, *kept_of(answer)]


def turn_of(answer: Answer) -> Turn | None:
    """The turn that ended with this very answer; None where no conversation ends with it."""
    said = kept_of(answer)
    ours = [id(message) for message in said]
    for name, held in current().conversations.items():
        before, last = held[: len(held) - len(said)], held[len(held) - len(said) :]
        is_ours = bool(ours) and [id(message) for message in last] == ours
        if is_ours and before and before[-1].role == "user":
            return Turn(name, tuple(before[:-1]), before[-1], answer)
    return None


def put_in_place(turn: Turn, made: Answer) -> Answer:
    """`made` is the turn's answer now: in its conversation and in its memory, where it has one."""
    from gptoss_magic.turns.recall import said_anew

    session = current()
    session.conversations[turn.conversation] = [*turn.before, *turn.saying(made)]
    session.last = made
    known = said_anew(turn, made)
    session.last = replace(made, provenance={**made.provenance, **known})
    return session.last


def open_talk(
    asked: Asked,
    respond: Callable[..., Answer],
    persona: Sequence[str] | None = (),
    conversation: str | None = None,
    *,
    new: bool = False,
    **how: Any,
) -> Talk:
    """The turn of `asked` in `conversation` (None: nothing is kept), as `persona` (names; None:
    those in use) would have it. The model is loaded; a summary is asked of `respond`.

    What `asked` and `how` say wins over the persona's settings. Raises InputError.
    """
    from gptoss_magic.agents.layers import overlay
    from gptoss_magic.retrieval.cite import grounded
    from gptoss_magic.turns.recall import remembered

    session = current()
    layers = session.layers(persona)
    voice = overlay(layers)
    name = None if conversation is None else talk_name(conversation, voice.name)
    held = [] if new or name is None else session.conversations.get(name, [])
    effort = asked.effort or voice.effort or "medium"
    how = chosen_how(voice, how)
    texts = "\n\n".join(filter(None, (voice.instructions, asked.system)))
    system, quoting = grounded(texts or None, asked.passages, asked.prompt)
    memory = remembered(voice, persona, name, respond)
    start = opening(memory.rules(system), asked.tools, effort, asked.date, asked.formats)
    kept, quoting = memory.fitted(start, held, asked.prompt, quoting, how)
    messages = [*start, *kept, _user(quoting)]
    return Talk(asked, name, layers, messages, kept, memory, effort, how)


def talk_name(conversation: str, persona: str) -> str:
    """What the conversation is called that this persona has of its own."""
    return f"{conversation} @ {persona}" if persona else conversation


def chosen_how(voice: Persona, how: dict[str, Any]) -> dict[str, Any]:
    """The keywords that were given (not None), above what the persona says."""
    beside = {} if voice.adapters is None else {"adapters": list(voice.adapters) or ["none"]}
    made = settled(voice, beside, how)
    made.pop("effort", None)
    return made


def settled(
    voice: Persona, defaults: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Each setting as `given`, else as the persona says, else of `defaults`; None is no setting.

    A persona's text takes the place of the defaults' system text.
    """
    known = without_none(dict(defaults))
    if voice.instructions:
        known.pop("system", None)
    return known | voice.settings | without_none(dict(given))


def kept_of(answer: Answer) -> list[Message]:
    """The messages that the next turn sees: those that have text, and calls."""
    return [message for message in answer.messages if message.content or message.recipient]


def _user(text: str) -> Message:
    from gptoss_magic.records import Message

    return Message("user", text)
